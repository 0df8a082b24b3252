"""Become another server's program, found beside this Python first: `python -m cluster.remote.exec PROGRAM ...`.

`python -m cluster.remote.exec --missing NAME...` prints, as JSON, which of those are neither such a program nor a
module of this Python. Standard library only: it runs on the target.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path


def search_path() -> str:
    """Beside this Python, then as usual, then where a plain user's path often doesn't lead."""
    own = Path(sys.executable).parent
    return os.pathsep.join((str(own), os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))


def missing(names: list[str]) -> list[str]:
    """Those that are neither a program nor a module."""
    return [name for name in names if shutil.which(name, path=search_path()) is None and not _importable(name)]


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a module of a package that isn't there, or no module's name
        return False


def main() -> int:
    argv = sys.argv[1:]
    if argv[:1] == ["--missing"]:
        print(json.dumps(missing(argv[1:])))
        return 0
    os.environ["PATH"] = search_path()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main())
