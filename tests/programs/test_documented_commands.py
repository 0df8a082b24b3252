"""Commands in the documentation. Those that only look are run as they stand; those that would measure, install or write
are held against `--help` and the file system: the task is known, its options are, and the files named exist."""

import re
import shlex
import subprocess
import sys
from functools import cache

import pytest

from tests.forked import forked_fab
from tests.running import PROJECT, environment

RUN = ("fab -l", "fab plan", "fab --help", "python -m servers --list")
"""What these begin with is run; it starts nothing that lasts."""
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def commands() -> list[str]:
    """Lines of fenced blocks that begin with one of our programs, without their comments."""
    found: list[str] = []
    for page in PAGES:
        for block in re.findall(r"^```(?:sh|console)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M):
            lines = (line.removeprefix("$ ").partition("  #")[0].strip() for line in block.splitlines())
            found += [line for line in lines if re.match(r"(fab|make|python -m) ", line)]
    return list(dict.fromkeys(found))


@cache
def help_of(*arguments: str) -> str:
    done = forked_fab(PROJECT, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *arguments]
    return subprocess.run(argv, cwd=PROJECT, env=environment(), capture_output=True, text=True, timeout=60, check=False)


def tasks_are_known(words: list[str]) -> None:
    """fab's tasks and the options of each; a plan or an inventory that is named exists."""
    listed, helped = help_of("-l"), ""
    for at, word in enumerate(words):
        if word.startswith("--"):
            assert word.partition("=")[0] in helped, word
        elif f"  {word} " in listed:
            helped = help_of("--help", word)
        elif words[at - 1] == "--plan" and word.startswith("campaigns/"):
            assert (PROJECT / word).is_file(), word


@pytest.mark.parametrize("command", commands())
def test_a_documented_command_works(command: str) -> None:
    words = shlex.split(command)
    if command.startswith(RUN):
        done = forked_fab(PROJECT, *words[1:]) if words[0] == "fab" else python(words[1:])
        assert done.returncode == 0, done.stderr
    elif words[0] == "make":
        targets = (PROJECT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{word}:", targets, re.M) for word in words[1:] if "=" not in word)
    elif words[0] == "fab":
        tasks_are_known(words[1:])
    else:
        module = PROJECT / words[2].replace(".", "/")
        assert module.is_dir() or module.with_suffix(".py").is_file()


def test_commands_were_found() -> None:
    assert {"make campaign", "fab -l"} <= set(commands())
