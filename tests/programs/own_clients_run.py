"""Locust's clients, wrapped for a locustfile of one's own, against the measured server and against another one.

`python -m tests.programs.own_clients_run`: in a process of its own, since importing Locust patches sockets. Prints as
JSON what became of each request, by client and by what was tried, how many connections the other server got, and the
recorder's counts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from gevent.server import StreamServer
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from cluster.engine.clocks import now
from cluster.engine.own import sessions
from cluster.engine.own.own_recorder import OwnRecorder
from cluster.engine.phase_tally import Phase

TIMEOUT_S = 5.0


class Served(StreamServer):  # type: ignore[misc]  # gevent has no types
    """Answers each connection's one request: `/near` and `/away` redirect, to this server and to the other one."""

    def __init__(self, other: str = "") -> None:
        super().__init__(("127.0.0.1", 0), self.answer)
        self.other = other
        self.connections = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, connection: Any, address: object) -> None:
        self.connections += 1
        path = connection.recv(65536).split()[1].decode("ascii")
        place = {"/near": "/there", "/away": f"{self.other}/there", "/same": f"{self.url}/there"}.get(path)
        head = f"HTTP/1.1 302 Found\r\nLocation: {place}" if place else "HTTP/1.1 200 OK"
        connection.sendall(f"{head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("ascii"))
        connection.close()


def main() -> int:
    """Print the outcomes."""
    other = Served()
    measured = Served(other.url)
    os.environ.update(HTTP_PROXY=other.url, http_proxy=other.url, NO_PROXY="", no_proxy="")
    users: Any = SimpleNamespace(user_count=0, target_user_count=0)
    environment, recorder = Environment(host=measured.url), OwnRecorder(users, "only")
    sessions.install(environment, recorder, TIMEOUT_S)
    recorder.enter(Phase(1, "ladder", "measure", 1))

    def elsewhere(session: Any) -> Any:
        session.base_url = other.url
        return session.get("/")

    tried: dict[str, Callable[[Any], Any]] = {
        "followed": lambda session: session.get("/near"),
        "followed to the whole address": lambda session: session.get("/same"),
        "whole address": lambda session: session.get(f"{measured.url.upper()}/there"),
        "not followed": lambda session: session.get("/away", allow_redirects=False),
        "redirected away": lambda session: session.get("/away"),
        "other server": lambda session: session.get(f"HTTP://127.0.0.1:{other.server_port}/"),
        "other name": lambda session: session.get(f"http://localhost:{measured.server_port}/"),
        "userinfo": lambda session: session.get(f"@127.0.0.1:{other.server_port}/"),
        "base URL set later": elsewhere,
    }
    sessions_of: dict[str, Any] = {"usual": HttpSession, "fast": FastHttpSession}

    def made(name: str, url: str, **options: Any) -> Any:
        return sessions_of[name](url, environment.events.request, None, **options)

    said = {
        f"{name}, {what}": outcome(lambda name=name, act=act: act(made(name, measured.url)))  # type: ignore[misc]
        for name in sessions_of
        for what, act in tried.items()
    }
    proxies = {"http": other.url}
    said["usual, proxy"] = outcome(lambda: made("usual", measured.url).get("/", proxies=proxies))
    said["fast, proxy"] = outcome(lambda: made("fast", measured.url, proxy_host="127.0.0.1", proxy_port=1))
    said["usual, other client"] = outcome(lambda: made("usual", other.url))
    said["usual, below"] = outcome(lambda: made("usual", f"{measured.url}/api").get("/there"))
    record = recorder.close(now())
    assert record is not None
    assert record.own is not None
    print(json.dumps({"said": said, "others": other.connections, "record": asdict(record)}))
    return 0


def outcome(act: Callable[[], Any]) -> str:
    """The status of the answer, or the error."""
    try:
        answer = act()
    except sessions.OtherServerError as error:
        return f"refused: {error}"
    return str(getattr(answer, "status_code", "made"))


if __name__ == "__main__":
    sys.exit(main())
