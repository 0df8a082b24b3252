"""What the page is sent, as JSON values. Texts are as they came: the page puts them in as text, never as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cluster.show.page.watched_campaign import WatchedCampaign
from cluster.show.page.watched_run import WatchedRun
from cluster.show.progress import MARKS, between
from study.layout import CampaignFiles
from study.palette import look

JSONObject = dict[str, Any]


def campaign_view(watched: WatchedCampaign) -> JSONObject:
    """The campaign without its running figures: sent as a whole whenever any of it has changed."""
    plan, current = watched.plan, watched.current
    return {
        "name": watched.name,
        "directory": str(watched.files.directory),
        "blocks": plan.blocks,
        "search": plan.search is not None,
        "resolution": plan.search.resolution if plan.search is not None else None,
        "slo": {"p99_ms": plan.slo.p99_ms, "failures_percent": plan.slo.failures_percent},
        "steps": [{"number": step.number, "kind": step.kind, "users": step.users} for step in plan.load_steps()],
        "runs": [_run_view(watched, run) for run in watched.runs],
        "sealed": watched.sealed,
        "current": None if current is None else _title(watched, current),
        "calibrates": current is not None and current is watched.calibration,
        "report": watched.files.report.name if watched.has_report else None,
        "ended": watched.ended,
        "marks": {verdict: sign for verdict, (sign, _, _) in MARKS.items()},
    }


def now_view(watched: WatchedCampaign) -> JSONObject:
    """The running figures of this second."""
    current, left = watched.current, watched.left_s()
    live = current.live if current is not None else None
    return {
        "run": None if current is None else current.name,
        "title": None if current is None else _title(watched, current),
        "live": None if live is None else vars(live) | {"trials": [vars(trial) for trial in live.trials]},
        "left": None if left is None else between(*left),
        "sealed": watched.sealed,
    }


def series_view(
    run: WatchedRun, seconds: int = 0, sampled: Mapping[tuple[str, str, str], int] = MappingProxyType({})
) -> JSONObject:
    """The run second by second; without the first so many rows, of the samples by host, role and name."""
    return {
        "run": run.name,
        "seconds": {name: column[seconds:] for name, column in run.seconds.items()},
        "samples": [
            {
                "host": each.host,
                "role": each.role,
                "name": each.name,
                "cores": each.cores,
                **{name: column[sampled.get(key, 0) :] for name, column in each.columns.items()},
            }
            for key, each in run.samples.items()
        ],
    }


def _title(watched: WatchedCampaign, run: WatchedRun) -> str:
    if run is watched.calibration:
        return "calibration of the load generator"
    return f"block {run.run.block}, {run.run.label}"


def _run_view(watched: WatchedCampaign, run: WatchedRun) -> JSONObject:
    outcomes = watched.outcomes.get(run.name, ())
    files = CampaignFiles(watched.files.directory)
    return {
        "name": run.name,
        "block": run.run.block,
        "label": run.run.label,
        "model": run.run.model,
        "colours": {"--on-white": look(run.run.label).colour, "--on-dark": look(run.run.label).dark},
        "status": run.status,
        "reason": run.state.reason if run.state is not None else "",
        "attempt": run.state.attempt if run.state is not None else 1,
        "steps": {
            number: {
                "kind": step.kind, "users": step.users, "requests": step.requests, "failures": step.failures,
                "rate": step.rate, "complete": run.counted(number),
            }
            for number, step in sorted(run.steps.items())
        },
        "trials": [
            {"step": each.step, "users": each.users, "outcome": each.outcome, "long": each.long} for each in run.trials
        ],
        "bracket": None if run.search is None else vars(run.search),
        "verdicts": [
            {
                "step": each.step, "verdict": each.verdict, "rps": each.rps, "text": str(each),
                "reasons": list(each.reasons),
            }
            for each in outcomes
        ],
        "logs": [
            path.relative_to(files.directory).as_posix()
            for path in (run.logs() if run.state is not None else ())
        ],
    }  # fmt: skip
