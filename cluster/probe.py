"""One request to a server and a look at its answer, before anything is measured: `python -m cluster.probe`.

Standard library only: it runs on a load host. The answer must be what the plan says, or the run would measure errors.
"""

from __future__ import annotations

import argparse
import http.client
import sys

from servers.core.app import escape


def problem(host: str, port: int, timeout: float, size: int | None, keep_alive: bool) -> str | None:
    """What is wrong with the answer to `GET /`, None where nothing is."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    head = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
    try:
        connection.connect()
        connection.sock.sendall(head.encode("ascii"))
        response = http.client.HTTPResponse(connection.sock, method="GET")
        response.begin()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}: {error}"
    finally:
        connection.close()
    length = response.getheader("Content-Length")
    if response.status != 200:
        return f"status {response.status} instead of 200"
    if length is None or int(length) != len(body):
        return f"Content-Length {length}, {len(body)} bytes of body"
    if size is None and body != escape(head.encode("ascii")):
        return "the body is not the request, escaped"
    if size is not None and len(body) != size:
        return f"{len(body)} bytes of body instead of {size}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.probe", description=problem.__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--bytes", type=int)
    parser.add_argument("--connection", choices=("close", "keep-alive"), default="close")
    asked = parser.parse_args()
    wrong = problem(asked.host, asked.port, asked.timeout, asked.bytes, asked.connection == "keep-alive")
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
