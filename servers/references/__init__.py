"""Servers that people run, for campaigns/references.toml: the same few bytes from each of them."""

BODY = b"hello\n"
