"""The content of manifest.json, and the digests by which a campaign is recognised as the same."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from cluster.campaign.placement import given_cpus, worker_count
from cluster.deploy import release
from cluster.hosts.host import PROJECT
from cluster.hosts.inventory import Inventory
from servers.core import model
from study.formats.facts_json import Facts
from study.formats.json_files import made_by
from study.formats.manifest_json import LOCUSTFILE, Manifest, ModelDescription
from study.layout import CampaignFiles
from study.plan import Plan

LOCKS = (PROJECT / "requirements.lock", release.LOCK)


def identity(
    plan_text: str,
    inventory: Inventory,
    facts: Mapping[str, Facts],
    own: str = "",
    files: Mapping[str, bytes] | None = None,
) -> dict[str, str]:
    """SHA-256 by what it was computed from: plan, the files that it names, code, locked packages, each host.

    `own` is that of a locustfile.

    A host's digest has its part (target or load), address, cores and number of workers; not how SSH reaches it. A
    campaign is continued only where all digests are the same.
    """
    hosts = {}
    for entry in inventory.hosts:
        known, part = facts[entry.name], "target" if entry is inventory.target else "load"
        hosts[f"the host {entry.name}"] = (part, entry.address, given_cpus(entry, known), worker_count(entry, known))
    return {
        "the plan": _digest(plan_text.encode()),
        **{f"the file {name}": _digest(content) for name, content in (files or {}).items()},
        "servers/": _digest(_code(PROJECT / "servers")),
        "cluster/": _digest(_code(PROJECT / "cluster")),
        **{lock.name: _digest(lock.read_bytes() if lock.exists() else b"") for lock in LOCKS},
        **{what: _digest(repr(values).encode()) for what, values in hosts.items()},
        **({LOCUSTFILE: own} if own else {}),
    }


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The names of the digests that differ, for a message; empty where none does."""
    return " and ".join(what for what in dict.fromkeys((*now, *before)) if before.get(what) != now.get(what))


def describe(plan: Plan, asked: dict[str, str], facts: Mapping[str, Facts], load_cores: int) -> Manifest:
    """The manifest of a campaign that begins now. `asked` is what `identity` returned, `facts` are by host."""
    commit, changes = this_commit()
    return Manifest(
        made_by=made_by(),
        plan=plan.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        uncommitted_changes=changes,
        identity=asked,
        load_cores=load_cores,
        models={name: about(plan, name) for name in plan.models},
        hosts=facts,
    )


def this_commit() -> tuple[str | None, bool]:
    """The commit of the code that runs, None without a repository or without git; and whether files differ from it."""
    return _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain"))


def about(plan: Plan, name: str) -> ModelDescription:
    """What the code says of a model, so that reading the results needs no code; empty for a server of another kind."""
    server = plan.server(name).model
    if server not in model.names():
        return ModelDescription()
    module = model.load(server)
    declared = cast(model.Model, module.MODEL)
    return ModelDescription(
        model=server, summary=declared.summary, docstring=module.__doc__ or "", descriptors=declared.descriptors
    )


def campaigns(results: Path, plan_name: str) -> Iterator[Path]:
    """The directories of the plan's campaigns, newest first; those without a manifest are not campaigns."""
    for directory in sorted(results.glob(f"{plan_name}-*"), reverse=True):
        dated = re.fullmatch(r"\d{8}-\d{6}", directory.name.removeprefix(f"{plan_name}-"))
        if dated and CampaignFiles(directory).manifest.exists():
            yield directory


def _code(folder: Path) -> bytes:
    files = sorted(path for path in folder.rglob("*.py"))
    return b"".join(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes() for path in files)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git(*arguments: str) -> str | None:
    """A git command's output; None where it fails, or where there is no repository or no git."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, errors="replace", timeout=10, check=False,
            process_group=0,
        )  # fmt: skip
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
