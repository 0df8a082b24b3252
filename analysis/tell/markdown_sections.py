"""The sections of summary.md below its answer: ratios, verdicts, failed checks, counts and gaps, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.judge.checks.checks_window import counts
from analysis.judge.findings import Finding
from analysis.judge.judging import RunResult
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.family import Claim, Pair, Ranked, known_ratio, of_control
from analysis.rank.medians import interval_coverage
from analysis.rank.ranking import FigureRanking, Ranking, shown_ratios
from analysis.rank.steps import LADDER_KINDS, Steps
from analysis.tell.phrases import BACKGROUND_CLIENTS
from analysis.tell.sentences import NAMES, main_reasons, sentence
from analysis.tell.step_verdict import ALONE_MEANS, saturated_text, tally_text
from analysis.tell.words import counted, percent_digits, ratio_digits, series
from study.plan import Plan
from study.safe_text import inert

LONGEST_LIST = 30
STOPPED = 0.5
"""A server whose failed requests are more than this share of all has stopped answering."""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; no cell holds a link, an image or HTML."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(inert(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def section(title: str, lines: Sequence[str]) -> str:
    """A section under its heading, without links, images and HTML; nothing where it has no lines."""
    return f"## {title}\n\n" + "\n".join(map(inert, lines)) if lines else ""


def listed(lines: Iterable[str]) -> list[str]:
    """Each line as an item of a Markdown list."""
    return [f"- {line}" for line in lines]


CLAIMS: Mapping[Claim, str] = {
    "more": "a difference",
    "less": "a difference",
    "tie": "a tie",
    "undetermined": "undetermined",
    "too few blocks": "too few blocks",
    "not comparable": "not comparable",
}
"""What is said of a pair, in words."""


def ratio_lines(ranking: Ranking) -> list[str]:
    """The pairs that are shown, and how many were compared."""
    lines: list[str] = []
    figures = (
        ("Capacity", ranking.capacity), ("Peak goodput", ranking.goodput), ("Mean response time", ranking.response),
    )  # fmt: skip
    for title, figure in figures:
        if not figure.pairs:
            continue
        pairs = shown_ratios(figure)
        hidden = len(figure.pairs) - len(pairs)
        more = f" (each against the best and the next; {counted(hidden, 'more pair')} compared)" if hidden else ""
        lines += [f"{title}{more}:", "", *(f"- {_called(pair, figure.ranked)}" for pair in pairs), ""]
    return [*lines, _reach(ranking)] if lines else []


def _reach(ranking: Ranking) -> str:
    """What the intervals are about, and over how many comparisons a difference holds."""
    if ranking.blocks < 2:
        return f"One block gives no interval; a ranking needs {T.least_blocks}."
    text = "Intervals are 95 % for each pair alone (paired t on log ratios within blocks), of this campaign."
    if not ranking.tests:
        return f"{text} Nothing is tested: a ranking needs {T.least_blocks} blocks."
    return f"{text} Differences hold after Holm's correction over {counted(ranking.tests, 'comparison')}."


def coverage_text(runs: int) -> str:
    """What the interval of a median over so many blocks covers."""
    if runs < 2:
        return "no interval"
    share = interval_coverage(runs)
    ends = "least to greatest of the blocks" if share < T.confidence else "an order-statistic interval"
    return f"{ends} of this campaign, which holds its median with {share:.0%}"


def ratio_text(pair: Pair, figure: Ranked) -> str:
    """As `thread = 1.12 x single [1.08, 1.16]`; with `>=` or `<=` and no interval where a side is a bound."""
    known = known_ratio(pair, figure)
    if known.ratio is None:
        return f"{pair.first} against {pair.second}: only bounds are known"
    sign = {"at least": ">=", "at most": "<="}.get(known.bound, "=")
    ends = [] if known.low is None or known.high is None else [ratio_digits(known.low), ratio_digits(known.high)]
    interval = f" [{', '.join(ends)}]" if ends else ""
    return f"{pair.first} {sign} {ratio_digits(known.ratio)} x {pair.second}{interval}"


def _called(pair: Pair, figure: Ranked) -> str:
    text = ratio_text(pair, figure)
    blocks = counted(pair.blocks, "block")
    if pair.p_holm is None or pair.claim == "not comparable":
        return f"{text}, {CLAIMS[pair.claim]} ({blocks})"
    return f"{text}, {CLAIMS[pair.claim]} ({_p_text(pair.p_holm)} after Holm, {blocks})"


def _p_text(p: float) -> str:
    """As `p 0.012`; one that rounding would make the level of the test is said to be above it."""
    level = f"{1 - T.confidence:.2g}"
    return f"p just above {level}" if p > 1 - T.confidence and f"{p:.2g}" == level else f"p {p:.2g}"


def control_lines(ranking: Ranking, plan: Plan) -> list[str]:
    """The A/A control: the same model under two names, so that its ratio shows what the study can't distinguish."""
    searched = ("capacity", "in some block the capacity of one of them is only a bound or not known", ranking.capacity)
    parts = (
        ("peak goodput", "no block has a step of both at one load that is valid or an overload", ranking.goodput),
        ("mean response time", "no block has a step of both at one load that is valid", ranking.response),
        *((searched,) if plan.search is not None else ()),
    )
    lines: list[str] = []
    for name, why, figure in parts:
        if figure.control is not None:
            lines.append(f"- {name}: {_called(figure.control, of_control(figure.ranked))}{_capped(figure)}")
        elif plan.aa:
            lines.append(f"- {name}: the two runs of the model are not compared: {why}")
    return lines


def _capped(figure: FigureRanking) -> str:
    """What the control leaves open, and what it withdraws: differences that its own two runs have, untested or not."""
    control = figure.control
    if control is None:
        return ""
    open_ = ""
    if control.claim == "undetermined" and control.low and control.high:
        far = percent_digits(max(control.high, 1 / control.low) - 1)
        open_ = f"; it shows no difference of the two runs, and excludes none of up to {far}"
    if figure.cap <= 1:
        return open_
    least, failed = figure.cap - 1, control.claim in ("more", "less")
    size = f"exceed {percent_digits(max(least, figure.ranked.resolution))}"
    if least < figure.ranked.resolution:
        why = "the resolution of the search"
    else:
        why = "the end of this interval" if failed else "what these two runs differ by"
    limit = f"{open_}; a difference of two models must {size}, {why}, besides its own test"
    return f"{limit}, and no tie is claimed" if failed else limit


def verdict_lines(steps: Steps, labels: Sequence[str]) -> list[str]:
    """For each label one line with the verdicts along its ladder, and the range of overload with its goodput."""
    lines: list[str] = []
    alone = False
    for label in labels:
        mine = steps.of_model(label).ladder
        withdrawn = mine.withdrawn() & mine.frame["saturated"].astype(bool)
        alone |= bool(withdrawn.any())
        parts: list[tuple[list[str], str]] = []
        for users, rows in mine.by_users():
            full = saturated_text(rows, withdrawn)
            verdicts = tally_text(rows) + (f" ({full})" if full else "")
            if parts and parts[-1][1] == verdicts:
                parts[-1][0].append(str(users))
            else:
                parts.append(([str(users)], verdicts))
        line = f"- {label}: " + ", ".join(
            f"{'-'.join(dict.fromkeys((at[0], at[-1])))} {verdicts}" for at, verdicts in parts
        )
        over = _trials_and_steps(steps.of_model(label)).with_verdict(["overload"]).frame
        if not over.empty:
            goodputs = " to ".join(dict.fromkeys(f"{value:.1f}" for value in (over["rps"].min(), over["rps"].max())))
            *lower, top = sorted(over["users"].unique())
            places = series([*map(str, lower), counted(top, "user", spec="d")])
            line += f"; in overload, at {places}, {goodputs} requests/s"
        lines.append(line)
    return [*lines, "", f"{ALONE_MEANS[0].upper()}{ALONE_MEANS[1:]}."] if alone else lines


def _trials_and_steps(steps: Steps) -> Steps:
    """Every step of the load, of several trials of one load all of them."""
    return Steps(steps.frame[steps.frame["kind"].isin(LADDER_KINDS)])


def load_at(check: Mapping[Any, Any], steps: pd.DataFrame) -> str:
    """The load at which a row of checks was made, as `400 users` or `50 users (return)`; empty of a whole ladder."""
    if pd.isna(check["users"]):
        return ""
    kinds = [""]
    if pd.notna(check["block"]) and pd.notna(check["step"]):
        same = (
            (steps["block"] == check["block"]) & (steps["model"] == check["model"]) & (steps["step"] == check["step"])
        )
        kinds = list(steps.loc[same, "kind"]) or kinds
    return _place(kinds[0], int(check["users"]))


def _place(kind: str, users: int, spec: str = ",d") -> str:
    return "the idle step" if kind == "idle" else counted(users, "user", spec=spec) + " (return)" * (kind == "return")


def _passed_later(rows: pd.DataFrame, passed: pd.DataFrame) -> str:
    """After how many of these trials of one load the run's last that counts passed; empty of none."""
    later = rows[["block", "model", "users", "step"]].merge(
        passed, on=["block", "model", "users"], suffixes=("", "_then")
    )
    count = later.loc[later["step_then"] > later["step"], ["block", "step"]].drop_duplicates().shape[0]
    if not count:
        return ""
    after = f"; after {count} of them" if len(rows) > 1 else ";"
    return f"{after} a later trial of this load in the same block passed"


def failed_checks(steps: pd.DataFrame, checks: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    """Why a step isn't valid, once for each label, step and verdict; then the checks of repeatability that failed."""
    bad = steps[~steps["verdict"].isin(["valid", "not-measured"])]
    last = Steps(steps).ladder.frame
    passed = last[last["passed"].astype(bool)]
    lines: list[str] = []
    most = max(1, LONGEST_LIST // max(1, len(labels)))
    for label in labels:
        own: list[str] = []
        mine = bad[bad["model"] == label]
        place = mine["kind"].where(mine["kind"].isin(("idle", "return")), "")
        for (kind, users, verdict), rows in mine.groupby([place, "users", "verdict"]):
            at = _place(str(kind), int(str(users)), spec="d")
            blocks = f" in {len(rows)} windows, the first" if len(rows) > 1 else ""
            again = "" if kind else _passed_later(rows, passed)
            own.append(f"- {label} at {at}, {verdict}{blocks}: {main_reasons(rows['reasons'].iloc[0])}{again}")
        more = [f"- and {len(own) - most} more of {label} in steps.csv and checks.csv"] if len(own) > most + 1 else []
        lines += [*own[:most], *more] if more else own
    repeats = checks[(checks["check"] == 10) & (checks["outcome"] == "fail")]
    lines += [
        f"- {row['model']}, check 10, {NAMES[row['code']]}"
        + (f" at {at}" if (at := load_at(row, steps)) else "")
        + f": {sentence(row['finding'])} ({row['value']:.1%} against {row['threshold']:.1%})"
        for row in repeats.to_dict("records")
    ]
    return lines


def impossible_checks(checks: pd.DataFrame) -> list[str]:
    """Once for each check that lacked its evidence: how often, and why. The counts of runs have lines of their own."""
    lines: list[str] = []
    made = checks[checks["code"] != "errors.counts"]
    for (number, code), rows in made.groupby(["check", "code"], sort=True):
        without = rows[rows["outcome"] == "not available"]
        why = list(dict.fromkeys(map(sentence, without["finding"])))
        if why:
            alike = len({finding.code for finding in without["finding"]}) == 1
            times = f"{len(without)} of {counted(len(rows), 'time')}"
            first = ", the first" if len(why) > 1 and alike else ""
            others = "" if alike else "; other reasons in checks.csv"
            lines.append(f"- check {number}, {NAMES[str(code)]}, {times}{first}: {why[0]}{others}")
    return lines


def reconcile_lines(results: Sequence[RunResult]) -> list[str]:
    """Each run's attempts against the server's counts; of a large campaign only those that don't agree."""
    compared = [(result, counts(result.reconciled)) for result in results if result.reconciled is not None]
    agree = sum(check.outcome == "pass" for _, check in compared)
    verb = "agrees" if agree == 1 else "agree"
    total = counted(len(compared), "run")
    lines = [f"{agree} of {total} {verb} within {T.reconcile_share:.1%}."] if compared else []
    entries = [entry for entry in compared if len(compared) <= LONGEST_LIST or entry[1].outcome != "pass"]
    lines += [""] if entries else []
    words = {
        "pass": "agrees",
        "flag": "has fewer than the kernel counts",
        "fail": "does not agree",
        "not available": "can't be compared",
    }
    return lines + [
        f"- {result.data.run.directory} {words[check.outcome]}: {sentence(check.finding)}" for result, check in entries
    ]


def background_lines(steps: Steps, labels: Sequence[str]) -> list[str]:
    """Whether each server answers the load while background clients are held: a line a label, at its largest step."""
    lines: list[str] = []
    for label in labels:
        mine = steps.of_model(label).ladder
        measured = Steps(mine.frame[mine.frame["requests"].notna()])
        rows = measured.at(max(measured.users, default=None))
        held = [
            counted(mean, one, several, ",.0f" if mean == round(mean) else ",.1f")
            for kind, (one, several) in BACKGROUND_CLIENTS.items()
            if (mean := rows.median(f"{kind}_held")) is not None
        ]
        if not held:
            continue
        failed = float(rows.frame["failures"].sum()) / max(1.0, float(rows.frame["requests"].sum()))
        figures = f"{rows.median('rps') or 0.0:.1f} requests/s, {failed:.1%} failed"
        at = f"at {counted(rows.users[0], 'user')} with {series(held)} held"
        if rows.most_have("valid"):
            lines.append(f"- {label} goes on answering the others {at}: {figures}")
        elif rows.most_have("overload"):
            verb = "stops" if failed > STOPPED else "does not keep up in"
            lines.append(f"- {label} {verb} answering the others {at}: {figures} (overload)")
        else:
            verdicts = series(sorted(set(rows.frame["verdict"])))
            lines.append(f"- {label} {at}: {figures} observed, which is no finding about the server ({verdicts})")
    return lines


def gap_lines(results: Sequence[RunResult], gaps: Iterable[Finding]) -> list[str]:
    """Runs that failed or aren't there, and what could not be read."""
    words = {"failed": "failed", "skipped": "skipped", "absent": "not there"}
    lines = [
        f"- {result.data.run.directory}: {words[result.data.state]}: {result.data.reason or 'no reason recorded'}"
        for result in results
        if result.data.state in words
    ]
    return lines + [f"- {sentence(gap)}" for gap in gaps]
