"""Two campaigns side by side, as Markdown."""

from __future__ import annotations

from typing import get_args

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.over_time.comparison import PEAK, CampaignComparison, Change, ChangeVerdict, missing_days
from analysis.rank.over_time.day_effect import LEAST_DAYS
from analysis.tell.markdown_sections import listed, section, table
from analysis.tell.sentences import sentence
from analysis.tell.words import counted, number
from study.safe_text import inert

FIGURE_NAMES = {PEAK: "peak requests/s", "rps": "requests/s", "mean_ms": "mean ms", "p99_ms": "p99 ms"}


def comparison_text(compared: CampaignComparison) -> str:
    """The comparison as a whole."""
    both = (("A", compared.first), ("B", compared.second))
    names = [inert(outcome.campaign.files.directory.resolve().name) for _, outcome in both]
    gaps = [f"{letter}: {sentence(gap)}" for letter, outcome in both for gap in outcome.missing]
    differences = [str(difference) for difference in (*compared.plan, *compared.manifest)]
    left_out = [sentence(finding) for finding in compared.left_out]
    parts = [
        f"# {names[0]} against {names[1]}",
        f"A is {names[0]}, B is {names[1]}; ratios are B / A, as observed.",
        *(_judged(compared) if compared.lines else ["No step counts in both campaigns: nothing is compared."]),
        section("What differs", listed(differences or ["nothing that was recorded"])),
        section("Not compared", listed(left_out)),
        section("What is missing", listed(gaps)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def unjudged(compared: CampaignComparison) -> str:
    """Why nothing can be called better or worse, and how to get there; empty where it can."""
    if compared.judged:
        return ""
    if not compared.lines:
        return "undetermined: no step counts in both campaigns."
    if not compared.same_hosts:
        return "undetermined: the two ran on different hosts, and nothing shows how far apart those lie."
    if more := missing_days(compared.days):
        name = compared.first.campaign.files.directory.resolve().parent
        return (
            f"undetermined: nothing shows how large a day is here. Run A's plan, with A's code, on"
            f" {counted(more, 'more day')} ({LEAST_DAYS} besides the two compared; results in {name.name}/)."
        )
    return f"undetermined: no figure has {T.least_blocks} runs in both campaigns and {LEAST_DAYS} other days."


def _judged(compared: CampaignComparison) -> list[str]:
    lines = compared.lines
    heads = ("model", "users", "figure", "A", "B", "B / A", "two days alike", "runs of each", "verdict of B")
    if not compared.judged:
        what = f"{counted(len(lines), 'ratio')}, {unjudged(compared)}"
    else:
        tally = ", ".join(f"{sum(line.verdict == word for line in lines)} {word}" for word in get_args(ChangeVerdict))
        tested = sum(line.p_holm is not None for line in lines)
        what = (
            f"{counted(len(lines), 'ratio')}: {tally}. Better and worse are more than {counted(compared.days, 'day')}"
            f" of A's plan and code differ by, after Holm's correction over {counted(tested, 'comparison')}."
        )
    return [
        what,
        table(heads, [_cells(line, compared) for line in lines]),
        "A and B are medians over runs. Two days alike: where the ratio of two days of one version lies in 95 of 100"
        " pairs, by the other days. Whatever else changed on the machines between the two campaigns is in the ratios as"
        " well. Below the knee requests/s are the users' own rate, whatever the server.",
    ]


def _cells(line: Change, compared: CampaignComparison) -> tuple[str, ...]:
    ratio = line.ratio
    both = (compared.first, compared.second)
    peaks = dict.fromkeys(str(outcome.ranking.peak_users.get(line.model)) for outcome in both)
    return (
        line.model,
        " and ".join(peaks) if line.users is None else str(line.users),
        FIGURE_NAMES[line.figure],
        f"{line.first:.4g}",
        f"{line.second:.4g}",
        f"{ratio.ratio:.3f}",
        "" if ratio.low is None or ratio.high is None else f"{number(ratio.low)} to {number(ratio.high)}",
        str(line.runs),
        line.verdict,
    )
