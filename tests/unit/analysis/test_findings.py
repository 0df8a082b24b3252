"""Findings are codes with figures: every code has a sentence, and no sentence decides anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd
import pytest

from analysis import Analysis, analyze, compare, verdicts_of
from analysis.judge import codes
from analysis.judge.codes import CODES, FigureUnit
from analysis.judge.findings import Finding, check
from analysis.read.counter_span import CounterSpan
from analysis.tell.csv_files import checks_table, steps_table
from analysis.tell.phrases import BACKGROUND_CLIENTS
from analysis.tell.sentences import NAMES, SENTENCES, reason_sentence, sentence
from analysis.tell.words import apart
from study.layout import CampaignFiles
from study.plan import Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

NUMBERS = (codes.MS, codes.S, codes.PER_S, codes.SHARE, codes.CORES, codes.COUNT, codes.RATIO)
EXAMPLES: dict[FigureUnit, tuple[Any, ...]] = {
    **dict.fromkeys(NUMBERS, (0, 1, 2.5)),
    codes.YES: (True, False),
    codes.TEXT: ("a-name",),
    codes.NAMES: ((), ("a-name",), ("a-name", "another")),
    codes.COUNTS: ({}, {"listen_overflows": 1, "retransmits": 20.0}),
    codes.SPAN_COUNTS: ({}, {"listen_drops": CounterSpan(1.0, 2.0)}, {"retransmits": CounterSpan(20.0, None)}),
    codes.SPANS: ((), ((1.0, 3.0), (4.0, 5.0))),
    codes.FINDINGS: ((), (Finding("full.thread", cpu=0.97),)),
}


def findings(code: str) -> Iterator[Finding]:
    """Findings of a code: each unit's examples in turn, and each figure that may lack left out."""
    entry = CODES[code]
    for at, lack in product(range(3), (None, *entry.may_lack)):
        figures = {name: EXAMPLES[unit][at % len(EXAMPLES[unit])] for name, unit in entry.figures.items()}
        if code == "background.held":
            figures["kind"] = list(BACKGROUND_CLIENTS)[at % len(BACKGROUND_CLIENTS)]
        if lack == "value":  # without its value a check has none of the figures that come with it
            figures |= dict.fromkeys(entry.may_lack)
        elif lack is not None and "value" not in entry.may_lack:
            figures[lack] = None
        yield Finding(code, **figures)


def test_every_code_has_a_sentence_and_every_check_a_name() -> None:
    assert set(SENTENCES) == set(CODES)
    assert set(NAMES) == {code for code, entry in CODES.items() if entry.check is not None}
    assert all(1 <= entry.check <= 11 for entry in CODES.values() if entry.check is not None)
    assert all(entry.meaning for entry in CODES.values())


@pytest.mark.parametrize("code", CODES)
def test_every_sentence_renders_with_figures_of_the_declared_types(code: str) -> None:
    for finding in findings(code):
        text = sentence(finding)
        assert "None" not in text, finding
        assert "nan" not in text, finding
        assert "\n" not in text, finding
        if CODES[code].check is not None:
            for outcome in ("pass", "flag", "fail", "not available"):
                assert reason_sentence(check(outcome, code, **finding.figures))


@pytest.mark.parametrize(
    ("code", "figures", "wrong"),
    [
        ("generator.late", {}, "no such code"),
        ("full.thread", {}, "declared are"),
        ("full.thread", {"cpu": 0.9, "cores": 1.0}, "declared are"),
        ("full.thread", {"cpu": "0.9"}, "declared in cores"),
        ("full.thread", {"cpu": None}, "declared in cores"),
    ],
)
def test_a_finding_is_checked_against_the_table(code: str, figures: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Finding(code, **figures)


def test_findings_are_values() -> None:
    counts = {"reset": 3}
    one = Finding("errors.failures", value=0.1, threshold=0.01, failed=3, requests=30, kinds=counts)
    other = Finding("errors.failures", value=0.1, threshold=0.01, failed=3, requests=30, kinds={"reset": 3})
    assert one == other
    assert len({one, other}) == 1
    counts["reset"] = 4
    assert one["kinds"] == {"reset": 3}
    assert one != Finding("errors.failures", value=0.1, threshold=0.01, failed=4, requests=30, kinds={"reset": 4})
    with pytest.raises(TypeError):
        one.figures["failed"] = 4  # type: ignore[index]


def test_singular_and_plural() -> None:
    queue = {"expected": 0.5, "allowed": 1.0, "busy": 0.5, "backlog": None}
    assert sentence(Finding("full.accept-queue", queue=2.0, **queue)).startswith("2.0 connections waited in its accept")
    dropped = Finding("full.overflows", drops=1, most=1, requests=2)
    assert sentence(dropped) == "its listening socket dropped 1 connection with 2 requests"
    assert sentence(Finding("target.busy", cpu=0.5, cores=1.0, others=None, cpu_ms=2.0)).startswith(
        "0.50 of 1 core busy"
    )
    held = Finding("background.held", kind="slow", held=1.0, wanted=1, turned_away=0, most=0)
    assert sentence(held) == "in the background, 1 of 1 slow client was held on average"
    held = Finding("background.held", kind="slow", held=18.25, wanted=20, turned_away=20, most=20)
    assert sentence(held) == (
        "in the background, 18.25 of 20 slow clients were held on average, and 20 times one was refused, cut off or not"
        " answered"
    )


def test_a_value_and_its_threshold_are_printed_with_the_digits_that_tell_them_apart() -> None:
    lag = {"worker": "load1-1", "drawn_s": None, "passed_s": None}
    late = check("fail", "generator.lag", value=10.0312, threshold=10.0, **lag)
    assert reason_sentence(late).endswith("think-time lag p99 ms: 10.03 against 10)")
    assert apart(5.0, 10.0) == ("5", "10")
    assert apart(10.0, 10.0) == ("10", "10")
    assert apart(0.0300001, 0.03) == ("0.0300001", "0.03")


# Replacing every sentence by its code.

MODELS = ("single", "process", "thread", "select", "prefork", "pool")
ASKED = plan(models=MODELS, users=[100, 200, 400], blocks=2)
OVER: dict[str, Any] = {"rate": 90.0, "response": 400 / 90 - 3, "spread": 0.1, "seconds": 40.0}
AT_THE_TOP: dict[str, dict[str, Any]] = {
    "single": {**OVER, "server_cpu": 0.99, "overflows": 9, "kernel_share": 0.5},
    "process": {**OVER, "server_cpu": 0.99, "ended_share": 0.8, "starts": 90, "accept_queue": 60.0},
    "thread": {**OVER, "server_cpu": 0.05, "accept_queue": 90.0},
    "select": {**OVER, "server_cpu": 0.3, "server_fds": (1020, 1024)},
    "prefork": {"lag_ms": 60.0, "late": 0.03, "cpu": 0.95},
    "pool": {"loop_lag_ms": 8.0, "server_cpu": 0.96, "failures": {"reset": 20}},
}


def every_kind(run: Run, step: Step) -> Load:
    """A limit of each kind at 400 users; below them a few faults in the second block."""
    if step.users == 400:
        return Load(**AT_THE_TOP[run.model])
    if run.block == 2 and step.users == 200:
        faults = {"single": {"drift": 0.8}, "thread": {"lost": ("load1-2",)}, "select": {"failures": {"reset": 600}}}
        return Load(**faults.get(run.model, {"samples": run.model != "process"}))  # type: ignore[arg-type]
    return Load()


def free(_run: Run, _step: Step) -> Load:
    """A server that no step fills."""
    return Load(loop_lag_ms=3.0)


@dataclass(frozen=True)
class Comparable:
    """Everything about an analysis but its words."""

    steps: pd.DataFrame
    verdicts: list[tuple[object, ...]]
    checks: pd.DataFrame
    summary: pd.DataFrame
    ranking: object
    limits: object


def without_words(analysis: Analysis, name: str) -> Comparable:
    verdicts = verdicts_of(analysis.campaign.files.directory, name)
    return Comparable(
        steps_table(analysis.rows).drop(columns="reasons"),
        [(each.verdict, each.findings, each.saturated, each.rps, each.failures) for each in verdicts],
        checks_table(analysis.checks).drop(columns="detail"),
        analysis.summary,
        analysis.ranking,
        analysis.limits,
    )


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> list[CampaignFiles]:
    directory = tmp_path_factory.mktemp("campaigns")
    failed = {"2-pool": "memory fell below 512 MiB"}
    return [
        write_campaign(directory / "every-kind", ASKED, every_kind, skip=["1-prefork"], failed=failed),
        write_campaign(directory / "free", plan(models=MODELS[:3], users=[100, 200], blocks=5), free),
    ]


@pytest.mark.slow
def test_with_every_sentence_replaced_by_its_code_all_figures_stay(
    campaigns: list[CampaignFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = ["1-single", "1-single"]
    before = [
        without_words(analyze(files.directory, figures=False), run) for files, run in zip(campaigns, runs, strict=True)
    ]
    compared = compare(campaigns[0].directory, campaigns[1].directory)
    kinds = {limit.kind for limit in before[0].limits}  # type: ignore[attr-defined]
    assert kinds >= {"CPU", "processes", "accept queue", "descriptors", "generator"}
    reports = [files.report.read_text(encoding="utf-8") for files in campaigns]
    for code in CODES:
        monkeypatch.setitem(SENTENCES, code, lambda finding: finding.code)
    for files, run, expected, report in zip(campaigns, runs, before, reports, strict=True):
        analysis = analyze(files.directory, figures=False)
        after = without_words(analysis, run)
        for name in ("steps", "checks", "summary"):
            pd.testing.assert_frame_equal(getattr(after, name), getattr(expected, name))
        assert after.verdicts == expected.verdicts
        assert after.ranking == expected.ranking
        assert after.limits == expected.limits
        written = files.report.read_text(encoding="utf-8")
        assert written != report
        assert "errors.counts" in written
        assert written.count("<table>") == report.count("<table>")
    again = compare(campaigns[0].directory, campaigns[1].directory)
    assert again.lines == compared.lines
    assert again.left_out == compared.left_out
