"""A real server process and plain sockets, for the conformance tests."""

from __future__ import annotations

import contextlib
import html
import json
import math
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
TIMEOUT_S = 15.0


class ServerProcess:
    """One model, running as `python -m servers` on a free port."""

    def __init__(self, model: str, *options: str, nofile: int | None = None) -> None:
        def limit() -> None:
            if nofile is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        self.process = subprocess.Popen(
            [sys.executable, "-m", "servers", model, "--port", "0", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=limit,
        )
        self.pid = self.process.pid
        self.ready = self._line()
        self.port = int(self.ready["port"])

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout
        readable, _, _ = select.select([self.process.stdout], [], [], TIMEOUT_S)
        assert readable, "the server printed nothing"
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the server ended: {self.process.communicate()[1].decode()}")
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)

    def ask(self, request: bytes = REQUEST) -> bytes:
        """Send a request on a new connection; returns all bytes until the server closes."""
        with self.connect() as client:
            client.sendall(request)
            return receive_all(client)

    def signal(self, signum: int = signal.SIGTERM) -> None:
        os.kill(self.pid, signum)

    def end(self) -> tuple[int, dict[str, Any], str]:
        """Wait for a server that was told to stop; returns exit status, counts and log."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, json.loads(out), err.decode()

    def stop(self) -> dict[str, Any]:
        """Stop the server and return its counts; fails unless it ends with status 0 and without a traceback."""
        self.signal()
        status, counts, log = self.end()
        assert status == 0, log
        assert "Traceback" not in log, log
        return counts

    def kill(self) -> None:
        """Kill the server: nothing outlives its test."""
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(ValueError):
            self.process.communicate(timeout=TIMEOUT_S)

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def cpu_seconds(self) -> float:
        """CPU time of the server, its children, and the children that it has reaped."""
        total = 0
        for pid in (self.pid, *self.children()):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += sum(int(field) for field in fields[11:15])
        return total / os.sysconf("SC_CLK_TCK")

    @property
    def slots(self) -> float:
        """How many clients are served at once."""
        return self.ready["slots"] or math.inf


def receive_all(client: socket.socket) -> bytes:
    parts = []
    while data := client.recv(65536):
        parts.append(data)
    return b"".join(parts)


def reset(client: socket.socket) -> None:
    """Close with RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def header_of(answer: bytes, name: bytes) -> bytes | None:
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.partition(b": ")
        if key.lower() == name.lower():
            return value
    return None


def echo(request: bytes) -> bytes:
    return html.escape(request.decode("latin-1")).encode("latin-1")


def wait_for(condition: Callable[[], object], seconds: float = TIMEOUT_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        time.sleep(0.005)


def balanced(counts: dict[str, Any]) -> bool:
    """Every accepted connection ended in exactly one way (one request per connection)."""
    ends = ("answered", "refused", "timed_out", "dropped", "aborted")
    return bool(counts["accepted"] == sum(counts[end] for end in ends))
