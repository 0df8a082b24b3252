"""What is deployed: the code as one archive, and the lock of the Python environment, each named by its digest."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cache

from cluster.hosts.host import PROJECT
from cluster.remote.installed import digest_of, files_below

LOCK = PROJECT / "requirements-hosts.lock"
PARTS = ("servers", "study", "cluster")
NAME_LENGTH = 16


@dataclass(frozen=True)
class Release:
    """Digests of the code's files and of the lock; their beginnings name the two directories that a deploy makes."""

    code: str
    lock: str

    @property
    def code_name(self) -> str:
        return self.code[:NAME_LENGTH]

    @property
    def env_name(self) -> str:
        return self.lock[:NAME_LENGTH]


@cache
def release() -> Release:
    """Of this checkout, as it is now."""
    return Release(code=digest_of(PROJECT, PARTS), lock=hashlib.sha256(LOCK.read_bytes()).hexdigest())


def archive() -> bytes:
    """The code as a tar file: the same bytes for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in files_below(PROJECT, PARTS):
            content = (PROJECT / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
