"""The supervisor against real processes: whatever it starts is found again and ended with all its descendants."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.hosts.host import PROJECT, ProcessHandle, Spawn
from cluster.hosts.inventory import HostEntry
from cluster.hosts.local import LocalHost
from cluster.remote import supervise
from study.errors import HostError

FOREVER = "import time; time.sleep(60)"
# Ignores SIGTERM and leaves a child behind: the worst kind.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LocalHost]:
    local = LocalHost(HostEntry("here"), tmp_path)
    yield local
    local.close()
    for name in local.listed():
        local.stop(name)


def spawn(host: LocalHost, code: str, name: str = "worker", **limits: Any) -> ProcessHandle:
    argv = (sys.executable, "-c", code)
    return host.start(Spawn(name=name, argv=argv, log_directory=host.directory / "logs", **limits))


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.02)


def how(host: LocalHost, name: str = "worker") -> str:
    ended = host.listed()[name]
    return ended.how if ended else ""


def test_a_process_leads_a_session_of_its_own_with_its_limits(host: LocalHost) -> None:
    handle = spawn(host, FOREVER, cpus=(min(os.sched_getaffinity(0)),))
    assert os.getsid(handle.pid) == handle.pid
    assert supervise.start_time(handle.pid) == handle.start_time
    assert os.sched_getaffinity(handle.pid) == {min(os.sched_getaffinity(0))}
    soft, hard = Path(f"/proc/{handle.pid}/limits").read_text(encoding="ascii").split("Max open files")[1].split()[:2]
    assert soft == hard


def test_stop_ends_a_process_that_ignores_it_and_its_children(host: LocalHost) -> None:
    handle = spawn(host, STUBBORN, ready_s=10, grace_s=0.2)
    assert handle.ready == "ready"
    until(lambda: len(supervise.session_members(handle.pid)) == 2)
    assert host.stop("worker").how == "stopped"
    assert supervise.session_members(handle.pid) == []
    assert host.listed() == {}


def test_the_exit_status_is_kept_until_it_is_asked_for(host: LocalHost) -> None:
    spawn(host, "import sys; sys.exit(7)")
    until(lambda: how(host) == "exited")
    ended = host.stop("worker")
    assert (ended.how, ended.status) == ("exited", 7)


def test_a_lease_that_nobody_renews_ends_the_process(host: LocalHost) -> None:
    handle = spawn(host, FOREVER, lease_s=0.5)
    until(lambda: how(host) == "lease")
    assert supervise.session_members(handle.pid) == []


def test_a_renewed_lease_lets_it_live(host: LocalHost) -> None:
    spawn(host, FOREVER, lease_s=2.0)
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        assert host.renew()["worker"] is None
        time.sleep(0.2)


def test_what_renews_ends_when_nobody_asks_it_to_any_more(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "cluster.remote.supervise", "keep", "--state", str(tmp_path), "--lease", "0.5"]
    with subprocess.Popen(argv, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdin is not None  # stays open, as that of a connection whose other end is gone
        assert keeper.wait(timeout=10) == -signal.SIGALRM


def test_the_memory_guard_and_the_lifetime_end_it(host: LocalHost) -> None:
    spawn(host, FOREVER, name="greedy", memory_floor_mb=2**40)
    spawn(host, FOREVER, name="old", lifetime_s=0.3)
    until(lambda: how(host, "greedy") == "memory" and how(host, "old") == "lifetime")


def test_a_process_dies_with_its_monitor(host: LocalHost) -> None:
    handle = spawn(host, FOREVER)
    state = json.loads((host.state / "worker.json").read_text(encoding="utf-8"))
    os.kill(state["monitor"], signal.SIGKILL)
    until(lambda: supervise.session_members(handle.pid) == [])
    assert how(host) == "vanished"


def test_a_stranger_with_the_same_pid_is_left_alone(host: LocalHost) -> None:
    """The PID was given to another process since: the state file's start time tells them apart."""
    handle = spawn(host, FOREVER, name="stranger")
    state = host.state / "gone.json"
    known = json.loads((host.state / "stranger.json").read_text(encoding="utf-8"))
    known |= {"name": "gone", "start_time": known["start_time"] - 1, "monitor": 2**22, "monitor_start_time": 1}
    state.write_text(json.dumps(known), encoding="utf-8")
    assert host.stop("gone").how == "vanished"
    assert supervise.session_members(handle.pid) == [handle.pid]


def test_what_can_not_start_says_so(host: LocalHost) -> None:
    with pytest.raises(HostError, match="No such file"):
        host.start(Spawn(name="none", argv=("/no/such/program",), log_directory=host.directory))
    with pytest.raises(HostError, match=r"ended before it was ready.*\n*.*broken"):
        spawn(host, "raise SystemExit('broken')", name="early", ready_s=10)
    with pytest.raises(HostError, match="not ready within"):
        spawn(host, FOREVER, name="late", ready_s=0.2)
    assert host.listed().get("late") is None


def test_what_an_earlier_process_of_the_name_wrote_is_not_taken_for_readiness(host: LocalHost) -> None:
    """As after a kill of fab: `fab stop` ends the server, and its output stays where the next one writes."""
    spawn(host, "print('earlier', flush=True); " + FOREVER, ready_s=10)
    host.stop("worker")
    later = spawn(host, "import time; time.sleep(0.3); print('later', flush=True); " + FOREVER, ready_s=10)
    assert later.ready == "later"


def test_a_name_is_used_once_at_a_time(host: LocalHost) -> None:
    spawn(host, FOREVER)
    with pytest.raises(HostError, match="runs already"):
        spawn(host, FOREVER)
