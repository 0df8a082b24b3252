"""A campaign as JUnit's XML, which CI servers show as a list of tests: for each model whether it was measured, and
whether it carries the users that the plan says it must.
"""

from __future__ import annotations

from xml.etree import ElementTree

from analysis.judge.verdicts import SERVED
from analysis.rank.capacity import carried_loads
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.steps import LADDER_KINDS
from analysis.tell.programs.must_carry import carried_sentence
from analysis.tell.words import counted
from study.safe_text import printable

MEASURED = "has a step that counts"


def junit_text(outcome: CampaignOutcome) -> str:
    """One test suite, with a case for each model and threshold. What is undetermined is a failure of that type."""
    plan = outcome.campaign.plan
    suite = ElementTree.Element("testsuite", name=printable(plan.name))
    for model in plan.models:
        case = ElementTree.SubElement(suite, "testcase", classname=f"{plan.name}.{model}", name=MEASURED)
        if (missing := _uncounted(outcome, model)) is not None:
            _fail(case, "not-measured", missing)
    for load in carried_loads(outcome.capacities, plan):
        name = f"carries {counted(plan.slo.must_carry or 0, 'user')}"
        case = ElementTree.SubElement(suite, "testcase", classname=f"{plan.name}.{load.model}", name=name)
        if load.verdict != "carries":
            _fail(case, load.verdict, carried_sentence(load, outcome))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    ElementTree.indent(suite)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suite, encoding="unicode")}\n'


def _uncounted(outcome: CampaignOutcome, model: str) -> str | None:
    """Why no step of a model counts, by the verdicts of its steps; None where one does."""
    steps = outcome.steps
    verdicts = steps[(steps["model"] == model) & steps["kind"].isin(LADDER_KINDS)]["verdict"]
    if verdicts.isin(SERVED).any():
        return None
    if verdicts.empty:
        return f"{model}: no step was measured"
    kinds = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.value_counts().items())
    return f"{model}: none of {counted(len(verdicts), 'step')} counts: {kinds}"


def _fail(case: ElementTree.Element, kind: str, sentence: str) -> None:
    text = printable(sentence)
    ElementTree.SubElement(case, "failure", type=kind, message=text).text = text
