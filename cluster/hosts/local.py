"""This machine as a host, with a directory of its own for each name in the inventory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.hosts.host import COMMAND_S, LEASE_S, PROJECT, STATE, Completed, Host, Keeper
from cluster.hosts.inventory import HostEntry
from study.errors import HostError


class LocalHost(Host):
    """Runs commands as children of this process, in this checkout."""

    def __init__(self, entry: HostEntry, root: Path | None = None) -> None:
        super().__init__(entry)
        self._root = root or (Path(entry.remote_dir).expanduser() if entry.remote_dir else STATE)

    @property
    def python(self) -> str:
        return self.entry.python or sys.executable

    @property
    def directory(self) -> Path:
        return self._root / self.entry.name

    @property
    def storage(self) -> Path:
        """The working directory: results/ is made there."""
        return Path.cwd()

    def run(self, argv: Sequence[str], timeout: float = COMMAND_S) -> Completed:
        try:
            # In a process group of its own: Ctrl-C reaches fab alone, which then stops everything in order.
            done = subprocess.run(
                argv, cwd=PROJECT, capture_output=True, timeout=timeout, check=False, process_group=0,
                encoding="utf-8", errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise HostError(f"{self.entry.name}: {argv[0]} took more than {timeout:g} s") from None
        except OSError as error:
            raise HostError(f"{self.entry.name}: {argv[0]}: {error.strerror}") from None
        return Completed(done.returncode, done.stdout, done.stderr)

    def put(self, local: Path, remote: Path, timeout: float = COMMAND_S) -> None:
        self._copy(local, remote)

    def get(self, remote: Path, local: Path, timeout: float = COMMAND_S) -> None:
        self._copy(remote, local)

    def share(self, file: Path) -> Path:
        """The file or directory itself: it is on this machine already."""
        return file

    def _copy(self, source: Path, destination: Path) -> None:
        """Copy a file, or a directory's content, with its times; makes the directories above."""
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, destination)
        except (OSError, shutil.Error) as error:
            raise HostError(f"{self.entry.name}: {source} can't be copied: {error}") from None

    def _open_keeper(self) -> Keeper:
        options = ("--state", str(self.state), "--lease", f"{LEASE_S:g}")
        return Keeper((self.python, "-m", "cluster.remote.supervise", "keep", *options), PROJECT)
