"""Two campaigns side by side, as Markdown."""

from __future__ import annotations

from typing import get_args

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.comparison import PEAK, CampaignComparison, Change, ChangeVerdict
from analysis.tell.markdown_sections import listed, section, table
from analysis.tell.sentences import sentence
from analysis.tell.words import counted

FIGURE_NAMES = {PEAK: "peak requests/s", "rps": "requests/s", "mean_ms": "mean ms", "p99_ms": "p99 ms"}


def comparison_text(compared: CampaignComparison) -> str:
    """The comparison as a whole."""
    both = (("A", compared.first), ("B", compared.second))
    names = [outcome.campaign.files.directory.resolve().name for _, outcome in both]
    gaps = [f"{letter}: {sentence(gap)}" for letter, outcome in both for gap in outcome.missing]
    differences = [str(difference) for difference in (*compared.plan, *compared.manifest)]
    left_out = [sentence(finding) for finding in compared.left_out]
    parts = [
        f"# {names[0]} against {names[1]}",
        f"A is {names[0]}, B is {names[1]}; ratios are B / A. More requests/s are better, more ms are worse.",
        *(_judged(compared) if compared.lines else ["No step counts in both campaigns: nothing is compared."]),
        section("What differs", listed(differences or ["nothing that was recorded"])),
        section("Not compared", listed(left_out)),
        section("What is missing", listed(gaps)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _judged(compared: CampaignComparison) -> list[str]:
    lines = compared.lines
    tally = ", ".join(f"{sum(line.verdict == word for line in lines)} {word}" for word in get_args(ChangeVerdict))
    heads = ("model", "users", "figure", "A", "B", "B / A", "runs of each", "verdict of B")
    few = any(line.ratio.blocks < T.least_blocks for line in lines)
    unclaimed = f" With fewer than {T.least_blocks} runs of each nothing is claimed." if few else ""
    return [
        f"{counted(len(lines), 'comparison')}: {tally}.{unclaimed}",
        table(heads, [_cells(line, compared) for line in lines]),
        "A and B are medians over runs. Intervals are 95 % (Welch's t on log ratios); better and worse hold after"
        f" Holm's correction over all comparisons, a tie lies within {T.tie:.0%} with its whole interval. Whatever else"
        " changed on the machines between the two campaigns is in the ratios as well. Below the knee requests/s are"
        " the users' own rate, whatever the server.",
    ]


def _cells(line: Change, compared: CampaignComparison) -> tuple[str, ...]:
    ratio = line.ratio
    interval = "" if ratio.low is None else f" [{ratio.low:.3f}, {ratio.high:.3f}]"
    both = (compared.first, compared.second)
    peaks = dict.fromkeys(str(outcome.ranking.peak_users.get(line.model)) for outcome in both)
    return (
        line.model,
        " and ".join(peaks) if line.users is None else str(line.users),
        FIGURE_NAMES[line.figure],
        f"{line.first:.4g}",
        f"{line.second:.4g}",
        f"{ratio.value:.3f}{interval}",
        str(ratio.blocks),
        line.verdict,
    )
