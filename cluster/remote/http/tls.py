"""TLS as a client: which certificates are trusted, and what is wrong with one. Standard library only."""

from __future__ import annotations

import ssl
from pathlib import Path

PROTOCOL = "http/1.1"


def client_context(ca: Path | None, verify: bool) -> ssl.SSLContext:
    """The settings of a connection. Trusts the certificates in `ca`, or those of the system; without `verify` any.

    Raises OSError where `ca` can't be read or has none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols([PROTOCOL])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    return context


def tls_problem(error: ssl.SSLError) -> str:
    """What went wrong, without the place in OpenSSL's source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()
