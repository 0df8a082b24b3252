"""Campaigns drawn at random as rows of steps, whose truth is known: which models are faster, and where each is full.

Rows are made and not ledgers, so that hundreds of campaigns take seconds; what judges a ledger has tests of its own.
Figures of rows that no check trusts are TAINTED: a text that shows one must name its verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.judge.findings import Finding
from analysis.rank.limits import limits_of
from analysis.rank.model_summary import summary_frame
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.ranking import rank_models
from analysis.rank.steps import CHECK_COLUMNS, COLUMNS, WHOLE, Steps
from analysis.read.results import Campaign
from study.layout import CampaignFiles
from study.plan import AA_SUFFIX, Plan
from tests.unit.synthetic import plan

MODELS = ("single", "thread", "select", "fork")
Z = 3.0
TAINTED: Mapping[str, float] = {"rps": 7777.0, "mean_ms": 8888.0, "p99_ms": 9999.0, "server_cpu_ms": 6666.0}
NOISE = ("normal", "t3", "skewed")


@dataclass(frozen=True)
class Truth:
    """One model as it is. Rates per second, times in s."""

    capacity: float
    response: float
    late_from: float = math.inf
    """Users from which on the generator is the limit."""
    watched: bool = True

    def asked(self, users: int) -> float:
        """N / (R1 + Z): what so many users ask for."""
        return users / (self.response + Z)

    def full(self, users: int) -> bool:
        """Whether the server is full there."""
        return self.asked(users) > 0.9 * self.capacity

    def peak(self, users: int) -> float:
        """The most that it answers up to so many users."""
        return min(self.capacity, self.asked(users))


@dataclass(frozen=True)
class Drawn:
    """A campaign and its truth."""

    outcome: CampaignOutcome
    truth: Mapping[str, Truth]

    @property
    def plan(self) -> Plan:
        return self.outcome.campaign.plan


def alike(draw: np.random.Generator) -> Drawn:
    """A campaign of four models that don't differ, five, six or ten blocks; some full, some idle, some blocks lost."""
    top = int(draw.choice([400, 700]))
    capacity = top / Z * float(draw.choice([0.4, 0.6, 2.0]))
    truth = dict.fromkeys(MODELS, Truth(capacity, 0.004))
    return drawn(
        draw, truth, blocks=int(draw.choice([5, 6, 10])), users=(top // 4, top), lost=float(draw.choice([0, 0.1]))
    )


def mixed(draw: np.random.Generator) -> Drawn:
    """A campaign of models that differ by little or much, may collapse, be late, lost, disturbed or unwatched."""
    users = tuple(sorted(draw.choice([100, 200, 400, 800], size=int(draw.integers(1, 4)), replace=False).tolist()))
    base = users[-1] / Z * float(draw.choice([0.3, 0.5, 0.7, 3.0]))
    truth = {}
    for model in MODELS[: int(draw.integers(1, 5))]:
        collapsed = draw.random() < 0.15
        truth[model] = Truth(
            capacity=0.05 * users[0] / Z if collapsed else base * float(np.exp(draw.choice([0, 0.03, 0.1, 0.4]))),
            response=0.004 * float(np.exp(draw.choice([0, 0.02, 0.1, 1.0]))),
            late_from=float(draw.choice(users)) if draw.random() < 0.15 else math.inf,
            watched=bool(draw.random() > 0.1),
        )
    blocks, bounded = int(draw.choice([1, 2, 4, 5, 6, 8, 8, 10])), bool(draw.random() < 0.2)
    return drawn(draw, truth, blocks, users, lost=0.1, disturbed=0.1, mistaken=0.05, bounded=bounded)


def drawn(
    draw: np.random.Generator,
    truth: Mapping[str, Truth],
    blocks: int,
    users: tuple[int, ...],
    lost: float = 0.0,
    disturbed: float = 0.0,
    mistaken: float = 0.0,
    bounded: bool = False,
) -> Drawn:
    """`lost`, `disturbed`, `mistaken`: shares of rows not measured, disturbed, or called saturated by mistake."""
    asked = plan(models=list(truth), users=list(users), blocks=blocks, return_step=False, aa=len(truth) > 1)
    kind, cov = str(draw.choice(NOISE)), float(draw.choice([0.01, 0.03, 0.06]))
    rows = []
    for block in range(1, blocks + 1):
        day = 0.02 * draw.standard_normal()
        for label in dict.fromkeys(run.label for run in asked.runs()):
            model = truth[label.removesuffix(AA_SUFFIX)]
            rate, response = (float(np.exp(day + cov * noise(kind, draw))) for _ in range(2))
            for number, count in enumerate(users, start=1):
                row = _row(draw, model, count, rate, response, mistaken if count < users[-1] else 0.0)
                if draw.random() < lost:
                    row = {"verdict": "not-measured", "reasons": (Finding("step.not-in-ledger"),)}
                elif draw.random() < disturbed:
                    row = {**row, **TAINTED, "verdict": "disturbed", "saturated": False, "reasons": ()}
                late = bounded and row["verdict"] == "valid"
                place = {"block": block, "model": label, "step": number, "kind": "ladder", "users": count}
                rows.append({**EMPTY, **row, **place, "times_bound": late})
    steps = Steps(_typed(pd.DataFrame(rows, columns=[*COLUMNS, "target", "full"])))
    return Drawn(_outcome(asked, steps), truth)


EMPTY: Mapping[str, Any] = {
    "at_least": frozenset(), "failure_kinds": {}, "reasons": (), "saturated": False, "times_bound": False, "full": (),
}  # fmt: skip


def noise(kind: str, draw: np.random.Generator) -> float:
    """Of mean about 0 and standard deviation about 1."""
    if kind == "t3":
        return float(draw.standard_t(3)) / math.sqrt(3)
    if kind == "skewed":
        return float((np.exp(draw.standard_normal()) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e))
    return float(draw.standard_normal())


def _row(
    draw: np.random.Generator, truth: Truth, users: int, rate: float, response: float, mistaken: float
) -> dict[str, Any]:
    """What a run of this model shows at a step, and its verdict as a judge without error gives it."""
    if users >= truth.late_from:
        lag = Finding("limit.workers", lag_ms=50.0, cpu=0.9)
        return {**TAINTED, "requests": 4000, "failures": 0, "verdict": "generator-limited", "reasons": (lag,)}
    capacity, asked = truth.capacity * rate, truth.asked(users)
    over = asked > 1.05 * capacity
    rps = capacity if over else asked * (1 + 0.003 * draw.standard_normal())
    mean = users / capacity - Z if over else truth.response * response
    used = min(1.0, rps / capacity) if truth.watched else None
    cpu = Finding("full.cpu", cpu=used, usable=1.0) if used is not None else Finding("target.not-watched")
    full = truth.watched and (rps > 0.9 * capacity or draw.random() < mistaken)
    row: dict[str, Any] = {
        "rps": rps, "mean_ms": 1000 * mean, "p50_ms": 900 * mean, "p99_ms": 3000 * mean, "server_cpu_cores": used,
        "requests": round(30 * rps), "failures": 0, "server_cores": 1.0 if truth.watched else None,
        "server_cpu_ms": 1000 * used / rps if used is not None else None, "saturated": False,
    }  # fmt: skip
    if over:
        short = Finding("step.shortfall", rate=rps, under=1 - rps / asked, bound=asked)
        return {**row, "verdict": "overload", "reasons": (short, cpu), "full": (cpu,)}
    if full:
        return {**row, "verdict": "valid", "saturated": True, "reasons": (Finding("target.saturated", full=(cpu,)),)}
    return {**row, "verdict": "valid"}


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    text = ("model", "kind", "verdict", "reasons", "at_least", "failure_kinds", "target", "full")
    numbers = [str(name) for name in frame if name not in (*text, *WHOLE, "saturated", "times_bound")]
    types: dict[str, Any] = dict.fromkeys(numbers, "float64")
    types |= {**dict.fromkeys(WHOLE, "Int64"), "saturated": bool, "times_bound": bool}
    return frame.astype(types)


def _outcome(asked: Plan, steps: Steps) -> CampaignOutcome:
    ranking = rank_models(steps, asked)
    return CampaignOutcome(
        campaign=Campaign(CampaignFiles(Path("drawn")), asked, None, ()),
        results=(),
        rows=steps,
        checks=pd.DataFrame(columns=list(CHECK_COLUMNS)),
        ranking=ranking,
        summary=summary_frame(steps, ranking, asked),
        limits=limits_of(steps, asked.models),
        capacities=(),
        missing=(),
    )
