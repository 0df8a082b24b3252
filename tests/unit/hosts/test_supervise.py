"""The supervisor against real processes: whatever it starts is found again and ended with all its descendants."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.hosts.host import PROJECT, ProcessHandle, Spawn
from cluster.hosts.inventory import HostEntry
from cluster.hosts.local import LocalHost
from cluster.remote import process_table, supervise
from cluster.remote.cores import by_session, processes
from cluster.remote.process_table import descendants, session_members, start_time
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
    assert start_time(handle.pid) == handle.start_time
    assert os.sched_getaffinity(handle.pid) == {min(os.sched_getaffinity(0))}
    soft, hard = Path(f"/proc/{handle.pid}/limits").read_text(encoding="ascii").split("Max open files")[1].split()[:2]
    assert soft == hard


def test_stop_ends_a_process_that_ignores_it_and_its_children(host: LocalHost) -> None:
    handle = spawn(host, STUBBORN, ready_s=10, grace_s=0.2)
    assert handle.ready == "ready"
    until(lambda: len(session_members(handle.pid)) == 2)
    assert host.stop("worker").how == "stopped"
    assert session_members(handle.pid) == []
    assert host.listed() == {}


def test_the_exit_status_is_kept_until_it_is_asked_for(host: LocalHost) -> None:
    spawn(host, "import sys; sys.exit(7)")
    until(lambda: how(host) == "exited")
    ended = host.stop("worker")
    assert (ended.how, ended.status) == ("exited", 7)


def test_a_lease_that_nobody_renews_ends_the_process(host: LocalHost) -> None:
    handle = spawn(host, FOREVER, lease_s=0.5)
    until(lambda: how(host) == "lease")
    assert session_members(handle.pid) == []


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


# With two children in its session and one that left it, which all outlive it.
FAMILY = """
import os, sys, time
for leaves in (False, True):
    if os.fork() == 0:
        if leaves:
            os.setsid()
        time.sleep(60)
print("ready", flush=True)
time.sleep(60)
"""


def test_what_a_killed_monitor_watched_is_ended_with_all_descendants(host: LocalHost) -> None:
    """The kernel ends the process itself alone: the children of a command would outlive every lease."""
    handle = spawn(host, FAMILY, ready_s=10)
    until(lambda: len(descendants(handle.pid)) == 2)
    family = [handle.pid, *descendants(handle.pid)]
    os.kill(json.loads((host.state / "worker.json").read_text(encoding="utf-8"))["monitor"], signal.SIGKILL)
    until(lambda: all(start_time(pid) is None for pid in family))
    until(lambda: how(host) == "vanished")
    assert host.stop("worker").how == "vanished"


def test_a_monitor_that_was_stopped_does_not_block_stop(host: LocalHost) -> None:
    handle = spawn(host, FOREVER)
    os.kill(json.loads((host.state / "worker.json").read_text(encoding="utf-8"))["monitor"], signal.SIGSTOP)
    assert host.stop("worker").how == "stopped"
    assert session_members(handle.pid) == []


@pytest.mark.parametrize("clock_step_s", [-3600.0, 3600.0])
def test_a_step_of_the_wall_clock_ends_no_lease(tmp_path: Path, clock_step_s: float) -> None:
    """The lease is compared by the monotonic clock, whatever time() says meanwhile."""
    supervise.touch(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        now = time.time()
        patch.setattr(time, "time", lambda: now + clock_step_s)
        patch.setattr(time, "time_ns", lambda: int((now + clock_step_s) * 1e9))
        assert 0 <= supervise.lease_age(tmp_path) < 5
        supervise.touch(tmp_path)
        assert 0 <= supervise.lease_age(tmp_path) < 5


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", "null", '{"name": "worker"}', '{"name": 7, "pid": "x"}', "[" * 100_000, "\x00\xff"],
    ids=range(9),
)
def test_a_damaged_state_file_hides_no_process(host: LocalHost, content: str) -> None:
    handle = spawn(host, FOREVER)
    (host.state / "worker.json").write_text(content, encoding="utf-8")
    assert host.listed() == {"worker": None}
    assert host.stop("worker").how == "damaged"
    assert start_time(handle.pid) is None
    assert host.listed() == {}
    host.state.joinpath("gone.json").write_text(content, encoding="utf-8")
    assert how(host, "gone") == "damaged"
    assert host.stop("gone").how == "damaged"


def test_without_proc_processes_are_found_by_ps(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = spawn(host, FAMILY, ready_s=10)
    until(lambda: len(descendants(handle.pid)) == 2)
    with monkeypatch.context() as patch:
        patch.setattr(process_table, "has_proc", lambda: False)
        first = start_time(handle.pid)
        assert first is not None
        assert first == start_time(handle.pid)
        assert len(descendants(handle.pid)) == 2
        assert handle.pid in session_members(handle.pid)
        assert start_time(2**22 + 1) is None


def test_a_process_dies_with_its_monitor(host: LocalHost) -> None:
    handle = spawn(host, FOREVER)
    state = json.loads((host.state / "worker.json").read_text(encoding="utf-8"))
    os.kill(state["monitor"], signal.SIGKILL)
    until(lambda: session_members(handle.pid) == [])
    assert how(host) == "vanished"


def test_a_stranger_with_the_same_pid_is_left_alone(host: LocalHost) -> None:
    """The PID was given to another process since: the state file's start time tells them apart."""
    handle = spawn(host, FOREVER, name="stranger")
    state = host.state / "gone.json"
    known = json.loads((host.state / "stranger.json").read_text(encoding="utf-8"))
    known |= {"name": "gone", "start_time": known["start_time"] - 1, "monitor": 2**22, "monitor_start_time": 1}
    state.write_text(json.dumps(known), encoding="utf-8")
    assert host.stop("gone").how == "vanished"
    assert session_members(handle.pid) == [handle.pid]


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


# Leaves its session in one of the ways that servers have, and tells its PID; "daemon" ends the first process.
LEAVING = """
import os, sys, time
way, told = sys.argv[1:]
reading, writing = os.pipe()
if os.fork():
    os.read(reading, 1)
    if way == "setsid":
        time.sleep(60)
    sys.exit(0)
os.setsid()
if way == "daemon" and os.fork():
    os._exit(0)
with open(told + ".session", "w") as file:
    file.write(str(os.getsid(0)))
with open(told + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(told + ".new", told)
os.write(writing, b"x")
time.sleep(60)
"""


@pytest.mark.parametrize("way", ["daemon", "fork", "setsid"])
def test_what_leaves_its_session_is_ended_too(host: LocalHost, tmp_path: Path, way: str) -> None:
    """As gunicorn --daemon, or a command with setsid, which outlived the campaign and kept the port."""
    told = tmp_path / "told"
    argv = (sys.executable, "-c", LEAVING, way, str(told))
    handle = host.start(Spawn("leaver", argv, host.directory / "logs", grace_s=1))
    until(told.exists)
    left = int(told.read_text(encoding="utf-8"))
    # Told by itself: where its command has exited, it may have been ended already.
    assert int(told.with_name("told.session").read_text(encoding="utf-8")) != handle.pid
    if way == "setsid":
        assert left in descendants(handle.pid)
        ended = host.stop("leaver")
        assert (ended.how, ended.left) == ("stopped", 1)
    else:
        until(lambda: how(host, "leaver") == "exited")
        ended = host.stop("leaver")
        assert (ended.how, ended.status, ended.left) == ("exited", 0, 1)
    assert start_time(left) is None


def test_what_left_its_session_is_found_where_monitor_and_guard_were_killed(host: LocalHost, tmp_path: Path) -> None:
    """As after `pkill -9 -f cluster.remote`: nobody adopted it, but it still has the variable in its environment."""
    told = tmp_path / "told"
    argv = (sys.executable, "-c", LEAVING, "setsid", str(told))
    handle = host.start(Spawn("leaver", argv, host.directory / "logs"))
    until(told.exists)
    left = int(told.read_text(encoding="utf-8"))
    monitor = json.loads((host.state / "leaver.json").read_text(encoding="utf-8"))["monitor"]
    guard = process_table._stat(monitor)
    assert guard is not None
    for pid in (guard.parent, monitor):
        os.kill(pid, signal.SIGKILL)
    until(lambda: start_time(handle.pid) is None and start_time(monitor) is None)
    assert start_time(left) is not None
    assert host.listed() == {"leaver": None}
    assert host.stop("leaver").how == "vanished"
    assert start_time(left) is None


def test_a_killed_guard_costs_nothing(host: LocalHost, tmp_path: Path) -> None:
    told = tmp_path / "told"
    argv = (sys.executable, "-c", LEAVING, "setsid", str(told))
    host.start(Spawn("leaver", argv, host.directory / "logs"))
    until(told.exists)
    guard = process_table._stat(json.loads((host.state / "leaver.json").read_text(encoding="utf-8"))["monitor"])
    assert guard is not None
    os.kill(guard.parent, signal.SIGKILL)
    ended = host.stop("leaver")
    assert (ended.how, ended.left) == ("stopped", 1)
    assert start_time(int(told.read_text(encoding="utf-8"))) is None


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="makes a program that becomes root")
@pytest.mark.parametrize("monitor_killed", [False, True])
def test_what_goes_on_as_another_user_is_said_each_time(monitor_killed: bool) -> None:
    """`sudo nginx` of a user who isn't root, whose processes that user can't end."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sudo, user = directory / "sudo", directory / "python"
        shutil.copy(str(shutil.which("setpriv")), sudo)
        user.write_text(f'#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups {sys.executable} "$@"\n')
        for path, mode in ((directory, 0o777), (sudo, 0o4755), (user, 0o755)):
            path.chmod(mode)
        host = LocalHost(HostEntry("here", python=str(user)), directory / "own")
        argv = (str(sudo), "--reuid", "0", "sleep", "60")
        handle = host.start(Spawn("server", argv, host.directory / "logs", grace_s=0.2))
        until(lambda: Path(f"/proc/{handle.pid}").stat().st_uid == 0)
        try:
            if monitor_killed:
                monitor = json.loads((host.state / "server.json").read_text(encoding="utf-8"))["monitor"]
                os.kill(monitor, signal.SIGKILL)
                until(lambda: "vanished" in (host.state / "server.json").read_text(encoding="utf-8"))
            for _ in range(2):
                with pytest.raises(HostError, match=rf"here: server goes on as another user .*sudo kill {handle.pid}$"):
                    host.stop_all()
                assert host.listed() == {"server": None}
            with pytest.raises(HostError, match="runs already"):
                host.start(Spawn("server", ("true",), host.directory / "logs"))
        finally:
            os.kill(handle.pid, signal.SIGKILL)
        until(lambda: start_time(handle.pid) is None)
        assert host.listed()["server"] is not None
        host.stop_all()
        assert host.listed() == {}
        host.close()


def test_the_status_is_the_processs_own_and_not_an_adopted_childs(host: LocalHost) -> None:
    """The monitor waits for orphans as well, whose statuses are nobody's."""
    code = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(0.3); os._exit(9)\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(1.5); sys.exit(7)"
    )
    spawn(host, code)
    until(lambda: how(host) == "exited")
    assert host.stop("worker").status == 7


def test_processes_in_sessions_of_their_own_are_sampled(host: LocalHost, tmp_path: Path) -> None:
    told = tmp_path / "told"
    argv = (sys.executable, "-c", LEAVING, "setsid", str(told))
    handle = host.start(Spawn("leaver", argv, host.directory / "logs"))
    until(told.exists)
    pids = {member.pid for member in by_session(processes(), [handle.pid])[handle.pid]}
    assert pids == {handle.pid, int(told.read_text(encoding="utf-8"))}
