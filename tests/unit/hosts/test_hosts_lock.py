"""What is installed on the hosts is what the code that runs there imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from cluster.campaign.commands import LOCUSTFILE
from cluster.deploy.release import LOCK, PARTS
from cluster.hosts.host import PROJECT

# Every `-m` of cluster/campaign/commands.py, the locustfile, and what Host.module runs.
ENTRIES = (LOCUSTFILE, *(f"cluster/remote/{name}.py" for name in (
    "background", "exec", "facts", "installed", "kernel", "monitor", "probe", "sampler", "supervise",
)))  # fmt: skip


def test_the_hosts_lock_has_all_that_the_code_there_imports() -> None:
    needed = imported_there()
    assert {"locust", "pydantic", "psutil", "hdrhistogram", "gevent"} <= needed
    locked = {canonical(name) for name in re.findall(r"^([\w.-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)}
    assert needed - locked == set()


def test_the_hosts_lock_has_the_whole_group() -> None:
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    named = {canonical(name) for name in (*groups["servers"], *groups["hosts"]) if isinstance(name, str)}
    locked = {canonical(name) for name in re.findall(r"^([\w.-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)}
    assert named - locked == set()


def imported_there() -> set[str]:
    """Distributions that are imported, anywhere in a function too, by what runs on a host and what it imports of ours.

    An import for type checking alone counts as well: it never asks for more than the real ones do.
    """
    pending = [PROJECT / name for name in ENTRIES] + list((PROJECT / "servers").rglob("*.py"))
    seen: set[Path] = set()
    packages: set[str] = set()
    while pending:
        path = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in modules(ast.parse(path.read_text(encoding="utf-8"))):
            if module.partition(".")[0] in PARTS:
                pending += [found for found in files(module) if found.is_file()]
            else:
                packages.add(module.partition(".")[0])
    known = packages_distributions()
    return {canonical(known[name][0]) for name in packages - sys.stdlib_module_names}


def modules(tree: ast.AST) -> list[str]:
    """Names that an import names; of `from a import b` both a and a.b, which may be a module."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def files(module: str) -> tuple[Path, Path]:
    path = PROJECT.joinpath(*module.split("."))
    return path.with_suffix(".py"), path / "__init__.py"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
