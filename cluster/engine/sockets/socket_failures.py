"""Failed requests of the lean client: what kind of failure an error of the socket, or of TLS, is."""

from __future__ import annotations

import errno
import os
import ssl

from cluster.remote.http.http_message import ResponseOutcome
from cluster.remote.http.tls import tls_problem

LATE = "no answer in time"
_OWN_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class RequestFailed(Exception):
    """For Locust's statistics, which count failures by this text: it must not have figures of the single request."""


def failed(error: OSError) -> ResponseOutcome:
    """The outcome of a request that ended with an error of the socket."""
    text = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, ssl.SSLError):
        kind, text = ("reset" if isinstance(error, ssl.SSLEOFError) else "other"), f"TLS: {tls_problem(error)}"
    elif isinstance(error, TimeoutError):
        kind = "timed-out"
    elif isinstance(error, ConnectionRefusedError):
        kind = "refused"
    elif isinstance(error, ConnectionError):
        kind = "reset"
    else:
        kind = "other"
        if error.errno in _OWN_LIMITS:
            text = f"the load generator's own limit: {text}"
    return ResponseOutcome(kind, text, 0, False)
