"""The sections of summary.md below its answer: ratios, verdicts, failed checks, counts and gaps, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.judge.checks import counts
from analysis.judge.judging import RunResult
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ranking import Ranking, shown_ratios
from analysis.rank.ratios import Ratio, blocks_for_flips
from study.plan import Plan

LONGEST_LIST = 30


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def section(title: str, lines: Sequence[str]) -> str:
    """A section under its heading; nothing where it has no lines."""
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def listed(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def ratio_lines(ranking: Ranking) -> list[str]:
    """The pairs that are shown, and how many were compared."""
    lines: list[str] = []
    for title, comparison in (("Peak goodput", ranking.goodput), ("Mean response time", ranking.response)):
        if not comparison.ratios:
            continue
        shown = shown_ratios(comparison)
        hidden = len(comparison.ratios) - len(shown)
        more = f" (each against the best and the next; {hidden} more pairs compared)" if hidden else ""
        lines += [f"{title}{more}:", "", *(f"- {_called(ratio)}" for ratio in shown), ""]
    tested = max((len(c.ratios) for c in (ranking.goodput, ranking.response)), default=0)
    return [*lines, _reach(ranking.blocks, tested)] if tested else []


def _reach(blocks: int, tested: int) -> str:
    """What the intervals are, and how many blocks the permutation test would need."""
    needed = blocks_for_flips(tested)
    if blocks < 2:
        return f"One block gives no interval; {max(T.least_blocks, needed)} blocks would do for the permutation test."
    reach = "can reach" if blocks >= needed else "can't reach"
    return (
        "Intervals are 95 % (paired t on log ratios within blocks); differences hold after Holm's correction"
        f" over {tested} comparisons. A sign-flip permutation test {reach} 5 % over {blocks} blocks; {needed} would do."
    )


def _called(ratio: Ratio) -> str:
    if ratio.low is None or ratio.p_flips is None:
        return ratio.sentence()
    figures = f"p {ratio.p_holm:.2g} after Holm, sign-flip p {ratio.p_flips:.2g}, {ratio.blocks} blocks"
    return f"{ratio.sentence()}, {ratio.call} ({figures})"


def control_lines(ranking: Ranking, plan: Plan) -> list[str]:
    """The A/A control: the same model under two names, so that its ratio shows what the study can't tell apart."""
    parts = (("peak goodput", ranking.goodput.control), ("mean response time", ranking.response.control))
    lines = [f"- {name}: {_called(ratio)}" for name, ratio in parts if ratio is not None]
    if not lines and plan.aa:
        return ["- no valid step of both runs to compare"]
    return lines


def verdict_lines(steps: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    """For each label a line of what its ladder came to, and the range of overload with its goodput."""
    lines: list[str] = []
    for label in labels:
        mine = steps[(steps["model"] == label) & (steps["kind"] == "ladder")]
        parts: list[tuple[list[str], str]] = []
        for users, rows in mine.groupby("users"):
            said = _verdicts(rows)
            if parts and parts[-1][1] == said:
                parts[-1][0].append(str(users))
            else:
                parts.append(([str(users)], said))
        line = f"- {label}: " + ", ".join(f"{'-'.join(dict.fromkeys((at[0], at[-1])))} {said}" for at, said in parts)
        over = mine[mine["verdict"] == "overload"]
        if not over.empty:
            goodputs = " to ".join(dict.fromkeys(f"{value:.1f}" for value in (over["rps"].min(), over["rps"].max())))
            line += f"; overload from {over['users'].min()} users on with {goodputs} requests/s"
        lines.append(line)
    return lines


def _verdicts(rows: pd.DataFrame) -> str:
    tally = rows["verdict"].value_counts()
    saturated = " (saturated)" if (rows["saturated"] == "yes").any() else ""
    if len(tally) == 1:
        return f"{tally.index[0]}{saturated}"
    return " / ".join(f"{verdict} in {count} of {len(rows)}" for verdict, count in tally.items()) + saturated


def failed_checks(steps: pd.DataFrame, checks: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    """Why a step isn't valid, once for each label, step and verdict; then the checks of repeatability that failed."""
    bad = steps[~steps["verdict"].isin(["valid", "not-measured"])]
    lines: list[str] = []
    for label in labels:
        for (users, verdict), rows in bad[bad["model"] == label].groupby(["users", "verdict"]):
            blocks = f" (in {len(rows)} rows; the first:)" if len(rows) > 1 else ""
            lines.append(f"- {label} at {users} users, {verdict}{blocks}: {rows['reasons'].iloc[0]}")
    repeats = checks[(checks["check"] == 10) & (checks["outcome"] == "fail")]
    lines += [
        f"- {row['model']}, check 10, {row['name']}"
        + (f", step {row['step']}" if pd.notna(row["step"]) else "")
        + f": {row['detail']} ({row['value']:.1%} against {row['threshold']:.1%})"
        for row in repeats.to_dict("records")
    ]
    if len(lines) > LONGEST_LIST:
        lines = [*lines[:LONGEST_LIST], f"- and {len(lines) - LONGEST_LIST} more in steps.csv and checks.csv"]
    return lines


def reconcile_lines(results: Sequence[RunResult]) -> list[str]:
    """Each run's attempts against the server's counts; of a large campaign those that don't agree."""
    compared = [
        (result, result.reconciled, counts(result.reconciled)) for result in results if result.reconciled is not None
    ]
    agree = sum(check.outcome == "pass" for _, _, check in compared)
    lines = [f"{agree} of {len(compared)} runs agree within {T.reconcile_share:.1%}."] if compared else []
    shown = [entry for entry in compared if len(compared) <= LONGEST_LIST or entry[2].outcome != "pass"]
    lines += [""] if shown else []
    words = {
        "pass": "agrees",
        "flag": "has fewer than the kernel counts",
        "fail": "does not agree",
        "not available": "can't be compared",
    }
    return lines + [
        f"- {result.data.run.directory} {words[check.outcome]}: {check.detail}" for result, _, check in shown
    ]


def gap_lines(results: Sequence[RunResult], gaps: Sequence[str]) -> list[str]:
    """Runs that failed or aren't there, and what could not be read."""
    words = {"failed": "failed", "skipped": "skipped", "absent": "not there"}
    lines = [
        f"- {result.data.run.directory}: {words[result.data.state]}: {result.data.reason or 'no reason recorded'}"
        for result in results
        if result.data.state in words
    ]
    return lines + [f"- {gap}" for gap in gaps]
