"""Run another server's program in place of this process: `python -m cluster.remote.exec PROGRAM ...`.

The program is looked up in this Python's own directory first. Before the program may stand the directory that it runs
in, a file with variables of its environment as JSON, since every user of a host can read a command's arguments, and a
directory that is looked in before: `--in DIR --environment FILE --path DIR --`.
`python -m cluster.remote.exec --missing NAME...` prints
a JSON list of the names that are neither such a program nor a module of this Python. Standard library only: it runs on
the target.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path


def search_path() -> str:
    """This Python's directory, then PATH, then the directories for administrators, which a user's PATH may lack."""
    own = Path(sys.executable).parent
    return os.pathsep.join((str(own), os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))


def missing(names: list[str]) -> list[str]:
    """The names that are neither a program nor a module."""
    return [name for name in names if shutil.which(name, path=search_path()) is None and not _importable(name)]


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # its package is missing, or it can't be a module's name
        return False


def surround(argv: list[str]) -> list[str]:
    """Take the options that stand before the program, if any; returns the words after them. Raises OSError."""
    if argv[:1] not in (["--in"], ["--environment"], ["--path"]):
        return argv
    at = argv.index("--")
    for option, value in zip(argv[:at:2], argv[1:at:2], strict=True):
        if option == "--in":
            os.chdir(value)
        elif option == "--path":
            os.environ["PATH"] = os.pathsep.join((value, os.environ["PATH"]))
        else:
            os.environ.update(json.loads(Path(value).read_text(encoding="utf-8")))
    return argv[at + 1 :]


def main() -> int:
    """Run the program; returns 127 where it can't be."""
    argv = sys.argv[1:]
    if argv[:1] == ["--missing"]:
        print(json.dumps(missing(argv[1:])))
        return 0
    os.environ["PATH"] = search_path()
    try:
        argv = surround(argv)
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{error.filename or argv[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main())
