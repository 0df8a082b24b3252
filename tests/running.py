"""Runs the real thing for the tests in this folder: `fab` in a directory of the test's own, with a short plan."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
FAB = (str(Path(sys.executable).with_name("fab")), "--search-root", str(PROJECT))

PLAN = """
name = "short"
models = {models}
users = {users}
spawn_rate = 200
think_time = {think}
settle = {settle}
measure = {measure}
timeout = 5
return_step = false
aa = false
client = "{client}"
port = {port}
master_port = {master_port}
"""


DRAWN_PATHS = """
[request]
path = "/{n}"
range = [1, 100]
[work]
bytes = 100
"""


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; none that the kernel gives to clients, if there are others."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    others = [port for port in range(1024, 65536) if not low <= port <= high] or list(range(low, high))
    random.shuffle(others)
    return list(islice(filter(_can_be_bound, others), count))


def _can_be_bound(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_plan(
    directory: Path,
    client: str = "lean",
    models: Sequence[str] = ("single", "thread"),
    users: Sequence[int] = (20, 40),
    think: Sequence[float] = (0.05, 0.15),
    settle: float = 1,
    measure: float = 3,
    drawn: bool = False,
) -> Path:
    """A short plan on ports of its own: two models and two steps, where nothing else is asked.

    Seconds. Without think time a campaign has no calibration, which takes longer than its run; nor has it where paths
    are `drawn`.
    """
    port, master_port = free_ports(2)
    path = directory / "short.toml"
    path.write_text(
        PLAN.format(
            client=client,
            models=json.dumps(list(models)),
            users=list(users),
            think=list(think),
            settle=settle,
            measure=measure,
            port=port,
            master_port=master_port,
        )
        + (DRAWN_PATHS if drawn else ""),
        encoding="utf-8",
    )
    return path


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STUDY_")}
    return {**kept, "PYTHONPATH": str(PROJECT), "COLUMNS": "160", **more}


def fab(directory: Path, *arguments: str, timeout: float = 200, **more: str) -> subprocess.CompletedProcess[str]:
    """Run fab to its end, in `directory`."""
    return subprocess.run(
        [*FAB, *arguments],
        cwd=directory,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def begin(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start fab, as from a terminal of its own, and go on."""
    return subprocess.Popen(
        [*FAB, *arguments],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def live(campaign: Path, run: str) -> dict[str, Any]:
    """The master's view of this second; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads((campaign / "runs" / run / "live.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def measures(campaign: Path, run: str) -> bool:
    """Whether a step that loads the server is being measured."""
    figures = live(campaign, run)
    return (figures.get("kind"), figures.get("phase")) == ("ladder", "measure")


def ours(directory: Path) -> list[str]:
    """Command lines of living processes of a study in `directory`: by the plan's path, or by its server's port."""
    words = [str(directory).encode(), *(line.split()[-1].encode() for line in _ports(directory))]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            text = b" ".join(argv)
            if any(word in argv or (b"/" in word and word in text) for word in words) and b"pytest" not in text:
                found.append(text.decode(errors="replace"))
    return found


def listening(directory: Path) -> list[int]:
    """The plan's ports on which something listens."""
    ports = [int(line.split()[-1]) for line in _ports(directory)]
    return [port for port in ports if not _free(port)]


def _ports(directory: Path) -> list[str]:
    lines = (directory / "short.toml").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.split(" ")[0] in ("port", "master_port")]


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
