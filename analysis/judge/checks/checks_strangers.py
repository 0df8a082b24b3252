"""Check 11: who else used the server's or the workers' cores."""

from __future__ import annotations

from analysis.judge.findings import Check, check
from analysis.judge.laws.strangers import judge_strangers
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from analysis.read.samples import CoreGroupSeconds


def strangers(window: Window) -> tuple[Check, ...]:
    """11: busy time of others and steal, of each group of cores: over the window, and in its worst second."""
    server = window.target.group if window.target is not None else None
    groups = [("server", server)] if server is not None else []
    groups += [("workers", group) for group in window.generator.groups]
    checks = [each for whose, group in groups for each in _of_group(whose, group)]
    if server is None or not window.generator.groups:
        missing = "workers" if server is not None else "server"
        checks.append(
            check(
                "not available", "strangers.share", value=None, threshold=T.strangers,
                whose=missing, host=None, cores=None, steal=None, more=None,
            )
        )  # fmt: skip
    return tuple(checks)


def _of_group(whose: str, group: CoreGroupSeconds) -> tuple[Check, ...]:
    others = judge_strangers(group.busy, group.own, group.steal, group.seconds, group.cores)
    if others is None:
        return ()
    known = others.outcome != "not available"
    share = check(
        "fail" if others.share > others.allowed else "pass" if others.outcome == "fail" else others.outcome,
        "strangers.share",
        value=others.share if known else None,
        threshold=others.allowed,
        whose=whose,
        host=group.host,
        cores=group.cores,
        steal=others.steal,
        more=None if known else others.more,
    )
    second = check(
        "fail" if others.worst > others.worst_allowed else "pass",
        "strangers.second",
        value=others.worst,
        threshold=others.worst_allowed,
        whose=whose,
        host=group.host,
    )
    return share, second
