"""Servers in common use, for campaigns/references.toml: each answers every request with BODY."""

BODY = b"hello\n"
