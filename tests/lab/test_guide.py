"""docs/several-machines.md, followed word for word: its commands in their order, its inventory, nothing else.

Control can be called by nobody meanwhile: it takes nothing but answers from sshds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from cluster.lab.machines import CONTROL, LOAD, TARGET, Lab
from tests.lab.control import PROJECT, left

GUIDE = PROJECT / "docs" / "several-machines.md"
OWN = {"results", ".git", ".study"}  # what a checkout makes for itself
COMMAND_S = 300.0


@dataclass
class Followed:
    """What the commands of the guide said, by their text, and the checkout that they were typed in."""

    lab: Lab
    checkout: Path
    said: dict[str, str]

    def after(self, words: str) -> str:
        (command,) = [command for command in self.said if command.startswith(words)]
        return self.said[command]


@pytest.fixture(scope="module")
def followed(session_lab: Lab, wheels: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """A person with the lab's key, who knows no host yet, from the first command to the one before `fab clean`."""
    checkout = tmp_path_factory.mktemp("checkout")
    for entry in PROJECT.iterdir():
        if entry.name not in OWN:
            (checkout / entry.name).symlink_to(entry)
    text = GUIDE.read_text(encoding="utf-8")
    (inventory,) = re.findall(r"^```ini\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (checkout / "machines.ini").write_text(inventory, encoding="utf-8")
    known_hosts = session_lab.home(CONTROL) / ".ssh" / "known_hosts"
    known_hosts.rename(known_hosts.with_name("kept"))
    guide = Followed(session_lab, checkout, {})
    session_lab.network.only_ssh_out(CONTROL)  # nobody can call it: what comes back to it, comes back through SSH
    try:
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if not block.startswith("fab clean"):
                follow(guide, block)
        yield guide
    finally:
        session_lab.network.mend()
        known_hosts.with_name("kept").rename(known_hosts)


def follow(guide: Followed, block: str) -> None:
    activated = f"cd {guide.checkout} && . .venv/bin/activate\n{block}"
    done = guide.lab.run(CONTROL, "bash", "-euc", activated, timeout=COMMAND_S)
    assert done.returncode == 0, f"{block}{done.stdout}{done.stderr}"
    guide.said[block] = done.stdout


@pytest.mark.timeout(COMMAND_S)
def test_the_campaign_has_every_model_and_the_samples_of_every_host(followed: Followed) -> None:
    runs = sorted((followed.checkout / "results" / "latest" / "runs").iterdir())
    assert [run.name.partition("-")[2] for run in runs] == sorted(["single", "process", "thread", "select"])
    for run in runs:
        assert json.loads((run / "run.json").read_text(encoding="utf-8"))["state"] == "done"
        for host in (TARGET, *LOAD):
            samples = pd.read_csv(run / f"samples-{host}.csv")
            assert set(samples["role"]) == {"host", "server" if host == TARGET else "worker"}
            assert len(samples[samples["role"] == "host"]) >= 3


def test_what_the_load_hosts_counted_is_what_the_server_counted(followed: Followed) -> None:
    for run in (followed.checkout / "results" / "latest" / "runs").iterdir():
        records = [json.loads(line) for line in (run / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
        phases = [record for record in records if record["record"] == "phase"]
        by_host = {host: sum(r["attempts"] for r in phases if r["worker"].startswith(host)) for host in LOAD}
        assert all(by_host.values()), by_host
        sealed = json.loads((run / "run.json").read_text(encoding="utf-8"))
        assert sum(by_host.values()) == pytest.approx(sealed["server"]["answered"] - sealed["probes"], rel=0.005)


def test_fab_clean_leaves_nothing_on_any_host(followed: Followed) -> None:
    """The guide's last command; so this test comes last."""
    follow(followed, "fab clean --inventory machines.ini")
    assert "fab clean --inventory machines.ini" in GUIDE.read_text(encoding="utf-8")
    assert left(followed.lab) == {}
    for host in (TARGET, *LOAD):
        assert not (followed.lab.home(host) / ".load-study").exists()
