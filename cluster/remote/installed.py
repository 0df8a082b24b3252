"""What a host has of the study, and whether it is whole: asked before a deploy and after it.

Runs there, perhaps with an old Python: standard library only, nothing newer than 3.7. Changes nothing, unless `--seal`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator, Sequence  # noqa: UP035 - for 3.7

SEAL = ".complete"  # written last, into an environment that is whole
SKIPPED = "__pycache__"


def files_below(root: Path, parts: Sequence[str] = (".",)) -> list[str]:
    """Relative names of all files, sorted; what Python makes by itself is none of them."""
    return sorted(_walk(root, parts))


def _walk(root: Path, parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if (root / part).is_file():
            yield part
        for directory, folders, names in os.walk(str(root / part)):
            folders[:] = [name for name in folders if name != SKIPPED]
            for name in names:
                yield os.path.relpath(os.path.join(directory, name), str(root))


def digest_of(root: Path, parts: Sequence[str] = (".",)) -> str:
    """Of the names and contents of all files."""
    digest = hashlib.sha256()
    for name in files_below(root, parts):
        content = hashlib.sha256((root / name).read_bytes()).hexdigest()
        digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def sizes_of(root: Path) -> str:
    """A digest of the names and sizes of all files: thousands of them, looked at in a blink."""
    digest = hashlib.sha256()
    for name in files_below(root):
        if name != SEAL:
            size = os.lstat(str(root / name)).st_size
            digest.update(f"{size} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def seal(env: Path) -> None:
    """Say of an environment that it is whole, and made with this Python."""
    temporary = env / (SEAL + ".new")
    temporary.write_text(json.dumps({"python": platform.python_version(), "sizes": sizes_of(env)}))
    temporary.replace(env / SEAL)


def environment(env: Path, python: str) -> str:
    """`whole`, or what is the matter with it."""
    try:
        sealed = json.loads((env / SEAL).read_text())
    except (OSError, ValueError):
        return "absent" if not env.exists() else "unfinished"
    if sealed["python"] != python:
        return "made with Python {}".format(sealed["python"])
    return "whole" if sealed["sizes"] == sizes_of(env) else "damaged"


def look(code: Path, env: Path) -> dict[str, Any]:
    """What there is, and what a deploy needs. MiB."""
    existing = next(path for path in (env, *env.parents) if path.exists())
    obstacle = ""
    try:
        with tempfile.TemporaryFile(dir=str(existing)):
            pass
    except OSError as error:
        obstacle = f"{existing}: {error.strerror}"
    return {
        "python": platform.python_version(),
        "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
        "machine": platform.machine(),
        "libc": list(platform.libc_ver()),
        "obstacle": obstacle,
        "free_mb": shutil.disk_usage(str(existing)).free // 2**20,
        "code": digest_of(code) if code.is_dir() else "",
        "env": environment(env, platform.python_version()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.installed", description=__doc__)
    parser.add_argument("--code", type=Path, required=True, help="directory of the code")
    parser.add_argument("--env", type=Path, required=True, help="directory of the environment")
    parser.add_argument("--seal", action="store_true", help="say of the environment that it is whole")
    asked = parser.parse_args()
    if asked.seal:
        seal(asked.env)
    print(json.dumps(look(asked.code, asked.env)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
