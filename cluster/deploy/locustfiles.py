"""The locustfile of one's own that a plan names, with what it needs: read, digested, examined, kept.

A campaign keeps a copy of it, as it keeps its plan, and the hosts get it from there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.deploy.packages import packages_of, requirements_digest
from cluster.hosts.host import Host, json_value
from study.errors import HostError, PlanError
from study.layout import CampaignFiles
from study.plan import PlanFile

EXAMINE_S = 60.0
MOST_BYTES = 100 * 2**20  # of a locustfile and its files together
ELSEWHERE = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-f", "--find-links")
"""How lines of a requirements file begin that name another file, or a directory: hosts get the one file alone."""


@dataclass(frozen=True)
class OwnFiles:
    """Everything by its path relative to `directory`, which is the locustfile's own and Locust's working directory."""

    directory: Path
    name: str
    files: tuple[str, ...]
    """The locustfile among them, sorted."""
    user_classes: tuple[str, ...]
    tags: tuple[str, ...]
    requirements: Path | None
    digest: str
    """SHA-256 of all of it."""
    requirements_digest: str = ""

    def keep(self, campaign: CampaignFiles) -> None:
        """Copy everything into the campaign's directory, the requirements included."""
        sources = {campaign.own / name: self.directory / name for name in self.files}
        if self.requirements is not None:
            sources[campaign.own / self.requirements.name] = self.requirements
        for kept, source in sources.items():
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, kept)


def own_files(asked: PlanFile) -> OwnFiles | None:
    """The locustfile of a plan; None where it has none. Raises PlanError with everything that isn't there."""
    plan = asked.plan
    if plan.locustfile is None:
        return None
    file = Path(os.path.normpath(asked.directory / plan.locustfile))
    wrong = [] if file.is_file() else [f"locustfile: {file}: no such file"]
    listed = [file]
    for given in plan.files:
        path = Path(os.path.normpath(asked.directory / given))
        if not (path.is_file() or path.is_dir()):
            wrong.append(f"files: {path}: no such file or directory")
        elif file.parent not in path.parents:
            wrong.append(f"files: {path}: is not below the locustfile's directory, {file.parent}")
        else:
            listed += sorted(each for each in path.rglob("*") if _counts(each)) if path.is_dir() else [path]
    requirements = asked.directory / plan.requirements if plan.requirements is not None else None
    if requirements is not None:
        wrong += _requirements_mistakes(requirements)
    if not wrong and sum(path.stat().st_size for path in listed) > MOST_BYTES:
        wrong.append(f"files: more than {MOST_BYTES // 2**20} MiB in all")
    if wrong:
        raise PlanError("\n".join(wrong))
    names = tuple(sorted({str(path.relative_to(file.parent)) for path in listed}))
    digest = hashlib.sha256()
    for name in names:
        content = (file.parent / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    needed = "" if requirements is None else requirements_digest(requirements)
    digest.update(needed.encode())
    return OwnFiles(
        file.parent, file.name, names, plan.user_classes, plan.tags, requirements, digest.hexdigest(), needed
    )


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _requirements_mistakes(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [f"requirements: {file}: can't be read: {getattr(error, 'strerror', None) or error}"]
    wrong = []
    for line in filter(None, map(str.strip, lines)):
        first = line.split()[0]
        if line.startswith(ELSEWHERE):
            wrong.append(f"{first} is not followed: the file itself lists all that is installed")
        elif "://" in line and line[0] not in "#-":
            wrong.append(f"{first} is an address: a name, ==, a version and hashes are wanted")
        elif line[0] not in "#-" and "--hash=" not in line:
            how = "`pip-compile --generate-hashes` or `uv pip compile --generate-hashes` writes them"
            wrong.append(f"{first} has no hash: {how}")
    return [f"requirements: {file}: {wrong[0]}"] if wrong else []


def examine(own: OwnFiles, control: Host, server: str) -> OwnFiles:
    """Import the locustfile on control, as a worker will, with `server` as its host; the classes that would run.

    Raises PlanError for a locustfile that can't be used: one message, with the line where there is one.
    """
    packages = packages_of(control, own.requirements_digest) if own.requirements is not None else ""
    argv = (
        control.python,
        "-m",
        "cluster.engine.own.examine",
        str(own.directory.resolve()),
        str(packages),
        own.name,
        server,
    )
    classes = [word for name in own.user_classes for word in ("--user-class", name)]
    tags = [word for tag in own.tags for word in ("--tag", tag)]
    try:
        done = control.run([*argv, *classes, *tags, *(f"--file={name}" for name in own.files)], EXAMINE_S)
        answer = json_value(done.out.splitlines()[-1])
        mistakes, found = answer["mistakes"], answer["user_classes"]
    except (ValueError, IndexError, KeyError, TypeError):
        last = "\n".join(done.err.strip().splitlines()[-3:])
        raise PlanError(f"{own.directory / own.name}: importing it ends the interpreter: {last}") from None
    except HostError as error:
        raise PlanError(f"{own.directory / own.name}: can't be imported: {error}") from None
    if mistakes:
        raise PlanError("\n".join(f"{own.directory / own.name}: {each}" for each in mistakes))
    return replace(own, user_classes=tuple(found))
