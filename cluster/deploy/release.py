"""What a deploy brings to a host: the code as one archive, and the lock file of the Python environment."""

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
    """SHA-256 of the code's files and of the lock file; their first digits name the directories on a host."""

    code: str
    lock: str

    @property
    def code_name(self) -> str:
        """Name of the directory for this code."""
        return self.code[:NAME_LENGTH]

    @property
    def env_name(self) -> str:
        """Name of the directory for this environment."""
        return self.lock[:NAME_LENGTH]


@cache
def this_release() -> Release:
    """The release of this checkout, digested at the first call."""
    return Release(code=digest_of(PROJECT, PARTS), lock=hashlib.sha256(LOCK.read_bytes()).hexdigest())


def archive() -> bytes:
    """The code as a tar file; the same files always give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in files_below(PROJECT, PARTS):
            content = (PROJECT / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
