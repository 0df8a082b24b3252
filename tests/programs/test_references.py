"""The servers that are compared with in campaigns/references.toml."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import PROJECT, free_ports, until

SEARCHED = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


@pytest.mark.skipif(not shutil.which("nginx", path=SEARCHED) or not shutil.which("openssl"), reason="needs nginx")
def test_the_key_of_nginx_is_in_no_file_since_a_runs_files_are_copied_to_control(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    where = ("--host", "127.0.0.1", "--port", str(port), "--prefix", str(tmp_path))
    argv = (sys.executable, "-m", "servers.references.nginx", "--tls", *where)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def answer() -> bytes:
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=5)) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return connection.recv(1000)
        except ConnectionRefusedError:
            return b""

    with subprocess.Popen(argv, cwd=PROJECT, env={**os.environ, "PATH": SEARCHED}, start_new_session=True) as process:
        try:
            until(lambda: answer().startswith(b"HTTP/1.1 200 OK"), 15, "nginx answers over TLS")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert tmp_path / "certificate.pem" in written
    assert not [path for path, content in written.items() if b"PRIVATE KEY" in content]
