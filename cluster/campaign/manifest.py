"""Where a campaign ran and what makes it the same campaign: manifest.json."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from cluster.campaign.placement import Facts, given_cpus, worker_count
from cluster.deploy import release
from cluster.hosts.host import PROJECT
from cluster.hosts.inventory import Inventory
from servers.core import model
from study.layout import CampaignFiles
from study.plan import Plan

LOCKS = (PROJECT / "requirements.lock", release.LOCK)


def identity(plan_text: str, inventory: Inventory, facts: Mapping[str, Facts]) -> dict[str, str]:
    """Digests by what they are of; where one changed, a campaign is another one.

    Of a host: its part, name and address, and cores and workers as they were found. How SSH reaches it is not in it.
    """
    hosts = {}
    for entry in inventory.hosts:
        known, part = facts[entry.name], "target" if entry is inventory.target else "load"
        hosts[f"the host {entry.name}"] = (part, entry.address, given_cpus(entry, known), worker_count(entry, known))
    return {
        "the plan": _digest(plan_text.encode()),
        "servers/": _digest(_code(PROJECT / "servers")),
        "cluster/": _digest(_code(PROJECT / "cluster")),
        **{lock.name: _digest(lock.read_bytes() if lock.exists() else b"") for lock in LOCKS},
        **{what: _digest(repr(found).encode()) for what, found in hosts.items()},
    }


def changed(before: dict[str, str], now: dict[str, str]) -> str:
    """What differs, in words; empty where nothing does."""
    return " and ".join(what for what in dict.fromkeys((*now, *before)) if before.get(what) != now.get(what))


def describe(plan: Plan, asked: dict[str, str], facts: dict[str, Facts], load_cores: int) -> dict[str, Any]:
    """The manifest's content: what was asked, by which code, and where it ran."""
    return {
        "plan": plan.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "identity": asked,
        "load_cores": load_cores,
        "models": {name: about(plan, name) for name in plan.models},
        "hosts": facts,
    }


def about(plan: Plan, name: str) -> dict[str, Any]:
    """What the code says of a model, so that a reader of the results needs no code; empty for a server not of ours."""
    of = plan.server(name).model
    if of not in model.names():
        return {}
    module = model.load(of)
    declared = cast(model.Model, module.MODEL)
    return {
        "model": of,
        "summary": declared.summary,
        "docstring": module.__doc__ or "",
        "descriptors": declared.descriptors,
    }


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
    """What git says, None where there is no repository or no git: the manifest then says null."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=10, check=False, process_group=0
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
