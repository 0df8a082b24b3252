"""Every model serves IPv6 as it serves IPv4."""

import socket
from collections.abc import Callable

from tests.models.serving import REQUEST, TIMEOUT_S, ServerProcess, receive_all, status_of


def test_a_model_serves_on_ipv6(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--host", "::1")
    assert server.ready["host"] == "::1"
    for _ in range(2):
        with socket.create_connection(("::1", server.port), timeout=TIMEOUT_S) as client:
            client.sendall(REQUEST)
            assert status_of(receive_all(client)) == 200
    server.signal()
    status, counts, _ = server.end()
    assert status == 0
    assert counts["answered"] == 2
