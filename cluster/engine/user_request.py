"""The request of every user, made once a worker from the plan and the files that came with it."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gevent import get_hub
from locust import FastHttpUser
from locust.clients import HttpSession, LocustHttpAdapter
from locust.contrib.fasthttp import FastHttpSession

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

    def context(self) -> ssl.SSLContext:
        """A context for connections over TLS. One for a worker: with the system's certificates each takes a MiB."""
        return client_context(self.ca, self.verify)


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

    By themselves FastHttpUser checks none, and HttpUser knows certificates of its own. All users share one context.
    """
    if not asked.tls:
        return
    context = asked.context()
    fast: Any = FastHttpSession
    usual: Any = HttpSession
    adapter: Any = LocustHttpAdapter
    fast_init, usual_init, settings = fast.__init__, usual.__init__, adapter.build_connection_pool_key_attributes
    FastHttpUser.insecure = not asked.verify

    def fast_session(self: Any, *arguments: Any, insecure: bool = True, **options: Any) -> None:
        if not insecure and not options.get("ssl_context_factory"):
            options["ssl_context_factory"] = lambda **_: context
        fast_init(self, *arguments, insecure=insecure, **options)

    def usual_session(self: Any, *arguments: Any, **options: Any) -> None:
        usual_init(self, *arguments, **options)
        self.verify = asked.verify

    def usual_settings(self: Any, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = settings(self, request, verify, cert)
        return host, ({**pool, "ssl_context": context} if verify is asked.verify else pool)

    fast.__init__, usual.__init__ = fast_session, usual_session
    adapter.build_connection_pool_key_attributes = usual_settings


def resolve_to(name: str, addresses: Sequence[str]) -> None:
    """Have every client in this process take these addresses for the name, for which a person allowed the load.

    Looked up again, as each of Locust's clients does for a new connection, it may stand for another machine.
    """
    resolver: Any = get_hub().resolver  # asked by every socket: Locust replaces the standard library's by gevent's
    look_up = resolver.getaddrinfo

    def getaddrinfo(host: Any, *where: Any, **options: Any) -> list[Any]:
        asked = host.decode() if isinstance(host, bytes) else host
        if asked is None or asked.lower() != name.lower():
            return list(look_up(host, *where, **options))
        found, wrong = [], None
        for address in addresses:
            try:
                found += look_up(address, *where, **options)
            except socket.gaierror as error:  # an address of another family than the one asked for
                wrong = error
        if wrong is not None and not found:
            raise wrong
        return found

    resolver.getaddrinfo = getaddrinfo


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
