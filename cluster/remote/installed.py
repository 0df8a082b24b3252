"""Which code and environment a host has, and whether they are complete: read before a deploy and checked after it.

Piped to hosts before anything is deployed: standard library only, Python 3.7 syntax. Changes nothing without `--seal`.
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

SEAL = ".complete"  # written last, into a complete environment
SKIPPED = "__pycache__"


def files_below(root: Path, parts: Sequence[str] = (".",)) -> list[str]:
    """Relative names of all files, sorted, without the bytecode that Python writes by itself."""
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
    """SHA-256 of the names and contents of all files."""
    digest = hashlib.sha256()
    for name in files_below(root, parts):
        content = hashlib.sha256((root / name).read_bytes()).hexdigest()
        digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def sizes_of(root: Path) -> str:
    """SHA-256 of the names and sizes of all files: faster than their contents, since an environment has thousands."""
    digest = hashlib.sha256()
    for name in files_below(root):
        if name != SEAL:
            size = os.lstat(str(root / name)).st_size
            digest.update(f"{size} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def seal(env: Path) -> None:
    """Record that an environment is complete, with this Python's version and its files' sizes."""
    temporary = env / (SEAL + ".new")
    temporary.write_text(json.dumps({"python": platform.python_version(), "sizes": sizes_of(env)}))
    temporary.replace(env / SEAL)


def environment(env: Path, python: str) -> str:
    """`whole`, `absent`, `unfinished`, `damaged`, or `made with Python X`, which isn't the version `python`."""
    try:
        sealed = json.loads((env / SEAL).read_text())
    except (OSError, ValueError):
        return "absent" if not env.exists() else "unfinished"
    if sealed["python"] != python:
        return "made with Python {}".format(sealed["python"])
    return "whole" if sealed["sizes"] == sizes_of(env) else "damaged"


def look(code: Path, env: Path) -> dict[str, Any]:
    """What is installed, and what a deploy needs to know. `free_mb` in MiB."""
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
    """Seal if asked to, then print what is installed as a JSON object."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.installed", description=__doc__)
    parser.add_argument("--code", type=Path, required=True, help="directory of the code")
    parser.add_argument("--env", type=Path, required=True, help="directory of the environment")
    parser.add_argument("--seal", action="store_true", help="record that the environment is complete")
    asked = parser.parse_args()
    if asked.seal:
        seal(asked.env)
    print(json.dumps(look(asked.code, asked.env)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
