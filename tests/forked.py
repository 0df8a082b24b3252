"""`fab` without the start of an interpreter: each command line is run by a fork of a process that has the imports.

For tests of what fab answers to many command lines, each of which costs a second of CPU time otherwise. That fab
starts, and what it imports, is tested by those that run it with tests.running.fab.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

from tests.running import FAB, environment

MOST_S = 60.0
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload([__name__, "fabric.main", "cluster.show.session"])


def forked_fab(directory: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of fab to its end, in `directory`."""
    argv = [*FAB, *arguments]
    with tempfile.TemporaryDirectory() as place:
        outputs = (Path(place) / "out", Path(place) / "err")
        child = FORKING.Process(target=_main, args=(argv, directory, environment(**more), outputs))
        child.start()
        child.join(MOST_S)
        if child.exitcode is None:
            child.kill()
            child.join()
        out, err = (path.read_text(encoding="utf-8") for path in outputs)
    assert child.exitcode is not None
    return subprocess.CompletedProcess(argv, child.exitcode, out, err)


def _main(argv: list[str], directory: Path, environ: dict[str, str], outputs: tuple[Path, Path]) -> None:
    """What the program `fab` does, in the forked process."""
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    from fabric.main import program

    program.run(argv)
