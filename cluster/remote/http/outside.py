"""A server that runs already, looked at from a load host: `python -m cluster.remote.http.outside NAME PORT`.

Prints as JSON the addresses that the name has there. With `--connect` it also opens a connection, over TLS where that
is asked for, and prints what is wrong with it. With `--listener` it prints which process listens on the port here.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import psutil

from cluster.remote.http.tls import client_context, tls_problem


def addresses(name: str, port: int) -> list[str]:
    """The name's addresses, the one first that clients use. Raises OSError where it has none."""
    found = [each[4][0] for each in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    return list(dict.fromkeys(map(str, found)))


def obstacle(name: str, port: int, seconds: float, context: ssl.SSLContext | None) -> tuple[str, bool]:
    """Why no connection can be opened, empty where it can; and whether that is the certificate."""
    try:
        with socket.create_connection((name, port), timeout=seconds) as connection:
            if context is not None:
                context.wrap_socket(connection, server_hostname=name).close()
    except ssl.SSLError as error:
        return tls_problem(error), isinstance(error, ssl.SSLCertVerificationError)
    except OSError as error:
        return error.strerror or str(error), False
    return "", False


def listener(port: int) -> int | None:
    """PID of the process that listens on the port: of several, the one that is no other's child."""
    sockets: list[Any] = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    pids = {each.pid for each in sockets if each.laddr.port == port}
    known = {pid for pid in pids if pid is not None}
    first = sorted(pid for pid in known if psutil.Process(pid).ppid() not in known)
    return first[0] if first else None


def main() -> int:
    """Look as the command line says; a name without an address is a problem, too."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.http.outside", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("port", type=int)
    parser.add_argument("--connect", type=float, default=0.0, help="seconds within which a connection must be open")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--no-verify", action="store_true")
    parser.add_argument("--listener", action="store_true")
    asked = parser.parse_args()
    said: dict[str, Any] = {"addresses": [], "obstacle": "", "refused": False, "pid": None}
    if asked.listener:
        said["pid"] = listener(asked.port)
        print(json.dumps(said))
        return 0
    try:
        said["addresses"] = addresses(asked.name, asked.port)
        if asked.connect:
            context = client_context(asked.ca, not asked.no_verify) if asked.tls else None
            said["obstacle"], said["refused"] = obstacle(asked.name, asked.port, asked.connect, context)
    except OSError as error:
        said["obstacle"] = error.strerror or str(error)
    print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
