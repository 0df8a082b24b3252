"""Parts of the servers for which a real shortage would occur too rarely: retried starts, and counting across forks."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from servers.core import listener as listening
from servers.core.app import Application, AppSettings, burn, escape
from servers.core.counts import Counts, Ending
from servers.core.listener import retry_start
from servers.core.model import load, measured, names
from servers.process import MultiprocessingChildren


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PAUSE_S", 0.001)


def failing(*errors: Exception) -> tuple[Callable[[], None], list[Exception]]:
    remaining = list(errors)

    def start() -> None:
        if remaining:
            raise remaining.pop(0)

    return start, remaining


def test_retry_start_tries_until_there_is_room() -> None:
    start, remaining = failing(
        RuntimeError("can't start new thread"), OSError(errno.EAGAIN, "fork"), OSError(errno.EMFILE, "pipe")
    )
    pauses: list[int] = []
    retry_start(start, during_pause=lambda: pauses.append(1))
    assert not remaining
    assert len(pauses) == 3


def test_retry_start_raises_other_errors() -> None:
    start, _ = failing(OSError(errno.EPERM, "no"))
    with pytest.raises(PermissionError):
        retry_start(start)


def test_failed_fork_leaves_no_descriptor_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """multiprocessing leaves two pipes open then, so that a shortage of processes would become one of descriptors."""
    handle = Application(AppSettings(), timeout=1, keep_alive=False)
    children = MultiprocessingChildren(handle)
    ours, theirs = socket.socketpair()
    before = os.listdir("/proc/self/fd")
    attempts = []
    fork = os.fork

    def failing_fork() -> int:
        attempts.append(1)
        if len(attempts) < 5:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        assert len(os.listdir("/proc/self/fd")) == len(before) + 4
        return fork()

    monkeypatch.setattr(os, "fork", failing_fork)
    handle.counts.opened()
    with ours:
        children.start(theirs)
        ours.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert ours.recv(100).startswith(b"HTTP/1.1 200")
    children.wait()
    assert len(attempts) == 5
    assert handle.counts.report()["answered"] == 1
    assert handle.counts.open == 0


def test_counts_of_many_threads_are_exact() -> None:
    counts = Counts()

    def work() -> None:
        for _ in range(2000):
            counts.opened()
            counts.finished(200)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = counts.report()
    assert report["accepted"] == report["answered"] == 16000
    assert counts.open == 0


def test_rows_lent_to_children_are_added_and_reused() -> None:
    counts = Counts()
    for _ in range(3):
        rows = [counts.lend_row() for _ in range(4)]
        assert sorted(rows) == [1, 2, 3, 4]
        for row in rows:
            counts.opened()
            pid = os.fork()
            if pid == 0:
                counts.use_row(row)
                counts.closed(Ending.DROPPED) if row == 1 else counts.finished(200)
                os._exit(0)
            os.waitpid(pid, 0)
        assert counts.open == 0
        for row in rows:
            counts.return_row(row)
    report = counts.report()
    assert (report["accepted"], report["answered"], report["dropped"]) == (12, 9, 3)
    assert report["peak_connections"] == 4


def test_a_child_forked_during_the_signal_stops_too() -> None:
    """Pending signals are not inherited across fork, so the child has to read the shared flag."""
    script = """
import os, signal
from servers.core.app import Application, AppSettings
from servers.core.runner import Stopper

reading, writing = os.pipe()
os.register_at_fork(after_in_child=lambda: os.read(reading, 1))  # runs before the Stopper's own
handle = Application(AppSettings(), timeout=1, keep_alive=False)
stopper = Stopper(handle, 60)
stopper.install()
if child := os.fork():
    stopper.on_signal(signal.SIGTERM, None)
    os.write(writing, b"x")
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0 if handle.stopping else 9)
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode == 0


def test_open_connections_count_as_aborted_at_the_end() -> None:
    counts = Counts()
    counts.opened()
    assert counts.report()["aborted"] == 1


def test_every_file_declares_a_model_of_its_name() -> None:
    for name in names():
        module = load(name)
        assert module.MODEL.name == name
        assert callable(module.serve)
        assert "Reference:" in str(module.__doc__)
        assert len(module.MODEL.summary) < 90
    assert "null" not in [model.name for model in measured()]


def test_escaping_leaves_no_markup() -> None:
    assert escape(b'<a href="x">&\'\xff') == b"&lt;a href=&quot;x&quot;&gt;&amp;&#x27;\xff"


def test_burning_takes_cpu_time() -> None:
    before = time.process_time()
    burn(60)
    assert time.process_time() - before >= 0.059
