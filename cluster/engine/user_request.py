"""The request of every user, made once a worker from the plan and the files that came with it."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust import FastHttpUser
from locust.clients import HttpSession

from cluster.remote.http.http_message import Fields, Wanted
from cluster.remote.http.tls import client_context
from study.layout import BODY, CA, PATHS
from study.request import DRAWN, RequestTable
from study.workload import Server


@dataclass(frozen=True)
class UserRequest:
    """What is sent. `draw` gives the path of the next request where it varies, else each has `path`."""

    method: str = "GET"
    path: str = "/"
    fields: Fields = ()
    body: bytes = b""
    draw: Callable[[], str] | None = None
    label: str = "/"
    """The request's name in Locust's statistics."""
    tls: bool = False
    ca: Path | None = None
    verify: bool = True

    def context(self, **_: Any) -> ssl.SSLContext:
        """The context of every connection over TLS. Takes and ignores what geventhttpclient hands over."""
        return client_context(self.ca, self.verify)

    @property
    def trusted_file(self) -> str | bool:
        """What the requests library takes for `verify`: it knows certificates of its own, and not the system's."""
        if not self.verify:
            return False
        system = ssl.get_default_verify_paths()
        return str(self.ca or system.cafile or system.capath or True)


def request_to(of: Server, files: Path, seed: str) -> UserRequest:
    """The request that a server gets; `files` is the directory of what was brought, `seed` that of its paths."""
    asked = of.asked
    body = files / f"{of.name}{BODY}"
    draw = None
    if asked.varies:
        listed = files / f"{of.name}{PATHS}"
        draw = drawn_paths(asked, listed.read_text(encoding="ascii").split() if asked.paths else [], seed)
    return UserRequest(
        method=asked.method,
        path=asked.path,
        fields=tuple(asked.headers.items()),
        body=body.read_bytes() if asked.has_body else b"",
        draw=draw,
        label=asked.label,
        tls=of.tls,
        ca=files / f"{of.name}{CA}" if of.ca is not None else None,
        verify=of.verify,
    )


def trust_by_default(asked: UserRequest) -> None:
    """Have Locust's clients check the server's certificate as the plan says, where a user class says nothing itself.

    By themselves FastHttpUser checks none, and HttpUser knows certificates of its own.
    """
    if not asked.tls:
        return
    FastHttpUser.insecure = not asked.verify
    FastHttpUser.ssl_context_factory = staticmethod(asked.context)
    trusted = asked.trusted_file
    original = HttpSession.__init__

    def __init__(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self.verify = trusted

    HttpSession.__init__ = __init__  # type: ignore[method-assign]


def drawn_paths(asked: RequestTable, listed: list[str], seed: str) -> Callable[[], str]:
    """A function that draws the next path, uniformly and independently: the same seed gives the same paths."""
    drawing = random.Random(seed)
    if asked.range is None:
        return lambda: drawing.choice(listed)
    low, high = asked.range
    return lambda: asked.path.replace(DRAWN, str(drawing.randint(low, high)))


def wanted_of(of: Server) -> Wanted:
    """What a good answer is; the body of an echo follows from the request's bytes, and is not known here."""
    if of.model is not None:
        return Wanted(of.status, of.body)
    wanted = of.asked.wanted
    fields = tuple((name.lower().encode("ascii"), value.encode("latin-1")) for name, value in wanted.headers.items())
    return Wanted(wanted.status, of.body, (wanted.contains or "").encode(), fields)
