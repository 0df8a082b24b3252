"""nginx with one worker that answers every request itself: `python -m servers.references.nginx --host H --port P`.

nginx takes its address from a file only, so this writes one, with all of nginx's files below `--prefix`, and then
executes nginx in its own place. With `--tls` it makes a certificate that signs itself, and every connection needs a
whole handshake: no session is resumed. The certificate's key is in memory alone: what is below `--prefix` may be copied
to other machines.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from servers.core.runner import BACKLOG
from servers.references import BODY

CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {prefix}/nginx.pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    default_type text/plain;
    keepalive_requests 1000000000;
    client_body_temp_path {prefix}/nginx-body;
    proxy_temp_path {prefix}/nginx-proxy;
    fastcgi_temp_path {prefix}/nginx-fastcgi;
    uwsgi_temp_path {prefix}/nginx-uwsgi;
    scgi_temp_path {prefix}/nginx-scgi;
    server {{
        listen {host}:{port} {ssl}backlog={backlog};
        {tls}
        tcp_nodelay on;
        location / {{ return 200 "{body}"; }}
    }}
}}
"""

TLS = (
    "ssl_certificate {prefix}/certificate.pem; ssl_certificate_key {key};"
    " ssl_session_cache off; ssl_session_tickets off;"
)
CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"),
    *("-subj", "/CN=references"),
)


def main() -> int:
    """Write nginx.conf and execute nginx. Exit status 1 where nginx can't be executed."""
    parser = argparse.ArgumentParser(prog="python -m servers.references.nginx", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prefix", required=True, help="an existing directory")
    parser.add_argument("--tls", action="store_true")
    given = parser.parse_args()
    prefix = os.path.abspath(given.prefix)
    key = ""
    if given.tls:
        key = f"/proc/self/fd/{os.memfd_create('certificate.key', 0)}"  # inherited by openssl and by nginx
        argv = [*CERTIFICATE, "-keyout", key, "-out", f"{prefix}/certificate.pem"]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL, close_fds=False)
    descriptors = os.sysconf("SC_OPEN_MAX")
    text = CONFIGURATION.format(
        prefix=prefix,
        host=f"[{given.host}]" if ":" in given.host else given.host,
        port=given.port,
        backlog=BACKLOG,
        descriptors=descriptors,
        ssl="ssl " if given.tls else "",
        tls=TLS.format(prefix=prefix, key=key) if given.tls else "",
        connections=max(descriptors - 64, 64),
        body=BODY.decode().replace("\n", "\\n"),
    )
    path = os.path.join(prefix, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        os.execvp("nginx", ["nginx", "-e", "stderr", "-p", prefix, "-c", path])
    except OSError as error:
        print(f"nginx: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
