"""A campaign that a second terminal looks at and stops, and that its own fab's death interrupts: it goes on each time.

One load host is reached through a gateway alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.lab.machines import CONTROL, GATEWAY, LOAD, TARGET
from tests.lab.control import Control, ended, measuring

NEAR, BEHIND = LOAD


@pytest.fixture
def gateway(deployed: Control) -> Iterator[Control]:
    """Control has no way to the second load host but the gateway, and ~/.ssh/config says so."""
    network, home = deployed.lab.network, deployed.lab.home(CONTROL)
    config = home / ".ssh" / "config"
    address = network.address(BEHIND)
    config.write_text(f"Host {address}\n    ProxyJump root@{network.address(GATEWAY)}\n", encoding="utf-8")
    network.unroute(CONTROL, BEHIND)
    try:
        yield deployed
    finally:
        network.mend()
        config.unlink()


def test_a_gateway_is_gone_through_once_its_key_is_known(gateway: Control) -> None:
    lab = gateway.lab
    known_hosts = lab.home(CONTROL) / ".ssh" / "known_hosts"
    kept = known_hosts.read_text(encoding="utf-8")
    address = lab.network.address(GATEWAY)
    known_hosts.write_text("".join(line for line in kept.splitlines(True) if address not in line), encoding="utf-8")
    try:
        refused = gateway.fab("check")
    finally:
        known_hosts.write_text(kept, encoding="utf-8")
    assert refused.returncode == 1
    assert "by its gateway" in refused.stderr
    assert f"the key of {address} is not known" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    checked = gateway.fab("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def sealed(control: Control) -> dict[Path, tuple[int, str]]:
    """Each run on disk: when it was sealed, and as what."""
    found = (control.campaign / "runs").glob("*/run.json")
    return {state: (state.stat().st_mtime_ns, state.read_text(encoding="utf-8")) for state in found}


@pytest.mark.timeout(300)
def test_a_stopped_and_a_killed_campaign_go_on_and_repeat_no_finished_run(gateway: Control) -> None:
    gateway.ask(("single", "thread"), measure=8)
    with measuring(gateway, sealed=1) as process:
        first = sealed(gateway)
        assert shows_all(gateway.fab("status").stdout)
        stopped = gateway.fab("stop")
        assert f"{TARGET}: server" in stopped.stdout, stopped.stdout + stopped.stderr
        status, said = ended(process)
    assert status == 1
    assert "`fab run-campaign` goes on with it" in said
    assert sealed(gateway) == first
    assert gateway.left() == {}

    with measuring(gateway, sealed=1) as process:
        process.kill()
    assert shows_all(gateway.fab("status").stdout)  # what a dead fab left runs for the time of its lease

    finished = gateway.fab("run-campaign")
    assert "going on with" in finished.stdout, finished.stdout + finished.stderr
    assert finished.returncode in (0, 3), finished.stderr
    both = sealed(gateway)
    assert both.items() > first.items()
    assert [(json.loads(text)["state"], json.loads(text)["attempt"]) for _, text in both.values()] == [("done", 1)] * 2
    assert len([path for path in (gateway.directory / "results").iterdir() if not path.is_symlink()]) == 1
    assert gateway.left() == {}


def shows_all(status: str) -> bool:
    """Whether `fab status` shows every process of a run, on every host, as running."""
    rows = {tuple(line.replace("│", " ").split()) for line in status.splitlines()}
    wanted = {(TARGET, "server"), (TARGET, "sampler"), (CONTROL, "master")}
    for host in LOAD:
        wanted |= {(host, f"{host}-1"), (host, "sampler"), (CONTROL, f"tunnel-{host}")}
    return rows >= {(host, name, "running") for host, name in wanted}
