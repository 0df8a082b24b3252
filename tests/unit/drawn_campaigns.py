"""Campaigns drawn at random as rows of steps, whose truth is known: which models are faster, and where each is full.

Rows are made and not ledgers, so that hundreds of campaigns take seconds; what judges a ledger has tests of its own.
Figures of rows that no check trusts are TAINTED: a text that shows one must name its verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis.judge.findings import Finding
from analysis.judge.verdicts import SERVED
from analysis.rank.capacity import (
    BlockCapacity,
    ModelCapacity,
    confirmation,
    decisive_trials,
    is_wide,
    over_blocks,
    why_open,
)
from analysis.rank.limits import limits_of
from analysis.rank.model_summary import summary_frame
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.ranking import rank_models
from analysis.rank.steps import CHECK_COLUMNS, COLUMNS, WHOLE, Steps
from analysis.read.results import Campaign
from analysis.read.samples import CoreGroupSeconds, Target
from study.layout import CampaignFiles
from study.plan import AA_SUFFIX, Plan
from study.search import Next, Outcome, Trial, bracket, next_trial
from study.trial import Broken
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
    crowded: bool = False
    """Others take all that the server leaves of its core."""

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
    carried: Mapping[str, Mapping[int, float]]
    """For each label and block the users up to which the server keeps the plan's p99, on that block's day."""

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
            crowded=bool(draw.random() < 0.15),
        )
    blocks, bounded = int(draw.choice([1, 2, 4, 5, 6, 8, 8, 10])), bool(draw.random() < 0.2)
    return drawn(draw, truth, blocks, users, lost=0.1, disturbed=0.1, mistaken=0.05, bounded=bounded)


def searched(draw: np.random.Generator, *, spoilt: bool = True) -> Drawn:
    """A campaign with a search, of models that carry from less than its first load to more than its largest.

    `spoilt`: some of its trials are lost, disturbed or misjudged, some of its runs cut off.
    """
    truth = {
        model: Truth(
            capacity=float(np.exp(draw.uniform(math.log(50), math.log(1200)))) / Z,
            response=0.004,
            late_from=float(draw.choice([200, 400, 700])) if draw.random() < 0.2 else math.inf,
            watched=bool(draw.random() > 0.1),
        )
        for model in MODELS[: int(draw.integers(1, 5))]
    }
    if draw.random() < 0.3:  # alike
        truth = dict.fromkeys(truth, next(iter(truth.values())))
    asked = {"users": [], "search": {"from": 100, "most": 800}}
    blocks = int(draw.choice([1, 2, 6, 8, 8]))
    if not spoilt:
        return drawn(draw, truth, blocks, (100, 800), asked=asked)
    return drawn(draw, truth, blocks, (100, 800), 0.03, 0.1, 0.05, cut=0.05, asked=asked)


def drawn(
    draw: np.random.Generator,
    truth: Mapping[str, Truth],
    blocks: int,
    users: tuple[int, ...],
    lost: float = 0.0,
    disturbed: float = 0.0,
    mistaken: float = 0.0,
    bounded: bool = False,
    cut: float = 0.0,
    asked: Mapping[str, Any] = MappingProxyType({}),
) -> Drawn:
    """`lost`, `disturbed`, `mistaken`: shares of rows not measured, disturbed, or called saturated by mistake.

    `cut` is the share of trials after which a run ends before its search does. `asked`: keys of the plan.
    """
    usual = {"models": list(truth), "users": list(users), "blocks": blocks, "return_step": False}
    chosen = plan(**{**usual, "aa": len(truth) > 1, **asked})
    kind, cov = str(draw.choice(NOISE)), float(draw.choice([0.01, 0.03, 0.06]))
    seen = _Spoilt(lost, disturbed, mistaken)
    rows: list[dict[str, Any]] = []
    carried: dict[str, dict[int, float]] = {}
    runs: dict[str, list[BlockCapacity]] = {}
    for block in range(1, blocks + 1):
        day = 0.02 * draw.standard_normal()
        for label in dict.fromkeys(run.label for run in chosen.runs()):
            model = truth[label.removesuffix(AA_SUFFIX)]
            server = _Server(model, *(float(np.exp(day + cov * noise(kind, draw))) for _ in range(2)))
            carried.setdefault(label, {})[block] = server.carries(chosen.slo.p99_ms)
            trials: list[Trial] = []
            for number, (count, long) in enumerate(_loads(chosen, trials), start=1):
                row = _spoilt(draw, seen, server, count, count < users[-1])
                late = bounded and row["verdict"] == "valid"
                step = ("confirm" if long else "trial") if chosen.search is not None else "ladder"
                place = {"block": block, "model": label, "step": number, "kind": step, "users": count}
                trials.append(Trial(count, _trial_outcome(row, chosen), long))
                known = {"counts": row["verdict"] in SERVED, "passed": trials[-1].outcome == "passed"}
                rows.append({**EMPTY, **row, **place, "times_bound": late, **known})
                if cut and draw.random() < cut:
                    break
            if any(row["model"] == label and row["block"] == block and "rps" in row for row in rows):
                runs.setdefault(label, []).append(_block_capacity(block, trials, chosen))
    steps = Steps(_typed(pd.DataFrame(rows, columns=[*COLUMNS, "target", "counts", "passed", "full"])))
    capacities = tuple(over_blocks(label, each, chosen) for label, each in runs.items())
    return Drawn(_outcome(chosen, steps, capacities), truth, carried)


@dataclass(frozen=True)
class _Spoilt:
    """Shares of rows that are not measured, disturbed, or called saturated by mistake."""

    lost: float
    disturbed: float
    mistaken: float


@dataclass(frozen=True)
class _Server:
    """A model in one run: as it is, but for the factors of its rate and of its response time on that day."""

    truth: Truth
    rate: float
    response: float

    @property
    def capacity(self) -> float:
        return self.truth.capacity * self.rate

    def carries(self, p99_ms: float) -> float:
        """Users up to which p99 keeps within the limit: three times the mean, which is N / X - Z once it is full."""
        return self.capacity * (Z + p99_ms / 3000)


def _spoilt(draw: np.random.Generator, seen: _Spoilt, server: _Server, count: int, below_top: bool) -> dict[str, Any]:
    row = _row(draw, server, count, seen.mistaken if below_top else 0.0)
    if draw.random() < seen.lost:
        return {"verdict": "not-measured", "reasons": (Finding("step.not-in-ledger"),)}
    if draw.random() < seen.disturbed:
        return {**row, **TAINTED, "verdict": "disturbed", "saturated": False, "reasons": (), "full": ()}
    return row


def _loads(asked: Plan, trials: Sequence[Trial]) -> Iterator[tuple[int, bool]]:
    """The steps of a run, with whether each is measured twice as long; a search looks at its `trials` so far."""
    search = asked.capacity_search
    if search is None:
        yield from ((users, False) for users in asked.users)
        return
    while isinstance(following := next_trial(search, trials), Next):
        yield following.users, following.long


def _trial_outcome(row: Mapping[str, Any], asked: Plan) -> Outcome:
    if row["verdict"] == "generator-limited":
        return "generator"
    if row["verdict"] not in ("valid", "overload"):
        return "unclear"
    return "failed" if row["p99_ms"] > asked.slo.p99_ms else "passed"


def _block_capacity(block: int, trials: Sequence[Trial], asked: Plan) -> BlockCapacity:
    decisive = decisive_trials(trials, [trial.outcome in ("passed", "failed") for trial in trials])
    low, high = bracket(decisive)
    ended = "slo" if high is not None else why_open(decisive, low, asked)
    broken: Broken | None = "p99" if high is not None else None
    return BlockCapacity(
        block,
        low,
        high,
        ended,
        broken,
        confirmation(trials, low),
        (),
        wide=asked.search is not None and is_wide(low, high, asked.search.resolution),
    )


FLAGS = ("saturated", "times_bound", "counts", "passed")
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


def _row(draw: np.random.Generator, server: _Server, users: int, mistaken: float) -> dict[str, Any]:
    """What a run of this model shows at a step, and its verdict as a judge without error gives it."""
    truth, response = server.truth, server.response
    if users >= truth.late_from:
        lag = Finding("limit.workers", lag_ms=50.0, cpu=0.9, windows=1)
        return {**TAINTED, "requests": 4000, "failures": 0, "verdict": "generator-limited", "reasons": (lag,)}
    capacity, asked = server.capacity, truth.asked(users)
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
    if truth.crowded and used is not None:
        second = ((1.0,) * 30, (used,) * 30, (0.0,) * 30)
        row["target"] = Target(used, 1.0, group=CoreGroupSeconds("target", 1.0, (1.0,) * 30, *second, None))
    if over:
        short = Finding("step.shortfall", rate=rps, under=1 - rps / asked, bound=asked, at_least=False)
        return {**row, "verdict": "overload", "reasons": (short, cpu), "full": (cpu,)}
    if full:
        return {**row, "verdict": "valid", "saturated": True, "reasons": (Finding("target.saturated", full=(cpu,)),)}
    return {**row, "verdict": "valid"}


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    text = ("model", "kind", "verdict", "reasons", "at_least", "failure_kinds", "target", "full")
    numbers = [str(name) for name in frame if name not in (*text, *WHOLE, *FLAGS)]
    types: dict[str, Any] = dict.fromkeys(numbers, "float64")
    types |= {**dict.fromkeys(WHOLE, "Int64"), **dict.fromkeys(FLAGS, bool)}
    return frame.astype(types)


def _outcome(asked: Plan, steps: Steps, capacities: tuple[ModelCapacity, ...]) -> CampaignOutcome:
    ranking = rank_models(steps, asked, capacities)
    return CampaignOutcome(
        campaign=Campaign(CampaignFiles(Path("drawn")), asked, None, ()),
        results=(),
        rows=steps,
        checks=pd.DataFrame(columns=list(CHECK_COLUMNS)),
        ranking=ranking,
        summary=summary_frame(steps, ranking, asked, capacities),
        limits=limits_of(steps, asked.models),
        capacities=capacities,
        missing=(),
    )
