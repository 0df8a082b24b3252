"""The sections of summary.md below its answer: ratios, verdicts, failed checks, counts and gaps, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.judge.checks import counts
from analysis.judge.findings import Finding
from analysis.judge.judging import RunResult
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ranking import Ranking, shown_ratios
from analysis.rank.ratios import Ratio, blocks_for_flips
from analysis.rank.steps import MOST_BLOCKS, Steps
from analysis.tell.phrases import BACKGROUND_CLIENTS, ratio_sentence
from analysis.tell.sentences import NAMES, joined, sentence
from analysis.tell.words import counted, series
from study.plan import Plan

LONGEST_LIST = 30
STOPPED = 0.5
"""A server whose failed requests are more than this share of all has stopped answering."""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def section(title: str, lines: Sequence[str]) -> str:
    """A section under its heading; nothing where it has no lines."""
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def listed(lines: Iterable[str]) -> list[str]:
    """Each line as an item of a Markdown list."""
    return [f"- {line}" for line in lines]


def ratio_lines(ranking: Ranking) -> list[str]:
    """The pairs that are shown, and how many were compared."""
    lines: list[str] = []
    for title, figure in (("Peak goodput", ranking.goodput), ("Mean response time", ranking.response)):
        if not figure.ratios:
            continue
        pairs = shown_ratios(figure)
        hidden = len(figure.ratios) - len(pairs)
        more = f" (each against the best and the next; {counted(hidden, 'more pair')} compared)" if hidden else ""
        lines += [f"{title}{more}:", "", *(f"- {_called(ratio)}" for ratio in pairs), ""]
    tested = max((len(figure.ratios) for figure in (ranking.goodput, ranking.response)), default=0)
    return [*lines, _reach(ranking.blocks, tested)] if tested else []


def _reach(blocks: int, tested: int) -> str:
    """What the intervals are, and how many blocks the permutation test would need."""
    needed = blocks_for_flips(tested)
    if blocks < 2:
        enough = max(T.least_blocks, needed)
        return f"One block gives no interval; {enough} blocks would be enough for the permutation test."
    reach = "can reach" if blocks >= needed else "can't reach"
    return (
        "Intervals are 95 % (paired t on log ratios within blocks); differences hold after Holm's correction"
        f" over {counted(tested, 'comparison')}. A sign-flip permutation test {reach} 5 % over {blocks} blocks;"
        f" {needed} would be enough."
    )


def ratio_text(ratio: Ratio) -> str:
    """As `thread = 1.12 x single [1.08, 1.16]`."""
    return ratio_sentence(ratio.first, ratio.second, ratio.value, ratio.low, ratio.high)


def _called(ratio: Ratio) -> str:
    text = ratio_text(ratio)
    if ratio.low is None or ratio.p_flips is None:
        return text
    figures = f"p {ratio.p_holm:.2g} after Holm, sign-flip p {ratio.p_flips:.2g}, {counted(ratio.blocks, 'block')}"
    return f"{text}, {ratio.call} ({figures})"


def control_lines(ranking: Ranking, plan: Plan) -> list[str]:
    """The A/A control: the same model under two names, so that its ratio shows what the study can't distinguish."""
    parts = (("peak goodput", ranking.goodput.control), ("mean response time", ranking.response.control))
    lines = [f"- {name}: {_called(ratio)}" for name, ratio in parts if ratio is not None]
    if not lines and plan.aa:
        return ["- the two runs of the model have no valid step in common"]
    return lines


def verdict_lines(steps: Steps, labels: Sequence[str]) -> list[str]:
    """For each label one line with the verdicts along its ladder, and the range of overload with its goodput."""
    lines: list[str] = []
    for label in labels:
        mine = steps.of_model(label).ladder
        parts: list[tuple[list[str], str]] = []
        for users, rows in mine.by_users():
            verdicts = _verdicts(rows.frame)
            if parts and parts[-1][1] == verdicts:
                parts[-1][0].append(str(users))
            else:
                parts.append(([str(users)], verdicts))
        line = f"- {label}: " + ", ".join(
            f"{'-'.join(dict.fromkeys((at[0], at[-1])))} {verdicts}" for at, verdicts in parts
        )
        over = mine.with_verdict(["overload"]).frame
        if not over.empty:
            goodputs = " to ".join(dict.fromkeys(f"{value:.1f}" for value in (over["rps"].min(), over["rps"].max())))
            least = counted(over["users"].min(), "user", spec="d")
            line += f"; overload from {least} on with {goodputs} requests/s"
        lines.append(line)
    return lines


def _verdicts(rows: pd.DataFrame) -> str:
    tally = rows["verdict"].value_counts()
    saturated = " (saturated)" if rows["saturated"].any() else ""
    if len(tally) == 1:
        return f"{tally.index[0]}{saturated}"
    return " / ".join(f"{verdict} in {count} of {len(rows)}" for verdict, count in tally.items()) + saturated


def failed_checks(steps: pd.DataFrame, checks: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    """Why a step isn't valid, once for each label, step and verdict; then the checks of repeatability that failed."""
    bad = steps[~steps["verdict"].isin(["valid", "not-measured"])]
    lines: list[str] = []
    for label in labels:
        mine = bad[bad["model"] == label]
        for (idle, users, verdict), rows in mine.groupby([mine["kind"] == "idle", "users", "verdict"]):
            at = "the idle step" if idle else counted(int(str(users)), "user", spec="d")
            blocks = f" (in {len(rows)} rows; the first:)" if len(rows) > 1 else ""
            lines.append(f"- {label} at {at}, {verdict}{blocks}: {joined(rows['reasons'].iloc[0])}")
    repeats = checks[(checks["check"] == 10) & (checks["outcome"] == "fail")]
    lines += [
        f"- {row['model']}, check 10, {NAMES[row['code']]}"
        + (f", step {row['step']}" if pd.notna(row["step"]) else "")
        + f": {sentence(row['finding'])} ({row['value']:.1%} against {row['threshold']:.1%})"
        for row in repeats.to_dict("records")
    ]
    if len(lines) > LONGEST_LIST:
        lines = [*lines[:LONGEST_LIST], f"- and {len(lines) - LONGEST_LIST} more in steps.csv and checks.csv"]
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
            counted(rows.median(f"{kind}_held") or 0.0, one, several)
            for kind, (one, several) in BACKGROUND_CLIENTS.items()
            if rows.known(f"{kind}_held")
        ]
        if not held:
            continue
        failed = float(rows.frame["failures"].sum()) / max(1.0, float(rows.frame["requests"].sum()))
        valid = bool((rows.frame["verdict"] == "valid").mean() > MOST_BLOCKS)
        verb = "goes on" if valid else "stops" if failed > STOPPED else "is slowed down in"
        figures = f"{rows.median('rps') or 0.0:.1f} requests/s, {failed:.1%} failed"
        lines.append(f"- {label} {verb} answering the others: {figures}, with {series(held)} held")
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
