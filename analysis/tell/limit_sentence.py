"""Why a model carries no more: the sentence of its limit."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.rank.limits import Kind, Limit
from analysis.tell.sentences import joined
from analysis.tell.words import counted

HEADS: Mapping[Kind, str] = {
    "CPU": "CPU",
    "processes": "The cost of starting processes",
    "waiting": "Waiting",
    "accept queue": "The accept queue",
    "descriptors": "Descriptors",
    "generator": "The generator and not the server",
    "none reached": "None reached",
    "not known": "Not known",
}


def limit_text(limit: Limit) -> str:
    """The limit with its figures; where none is known, why not, and what became of the largest step."""
    if limit.users is not None:
        return f"{HEADS[limit.kind]}, first at {counted(limit.users, 'user')}: {joined(limit.findings)}."
    first, *rest = limit.findings
    separator = " " if limit.kind == "none reached" else ": "
    return "".join((f"{HEADS[limit.kind]}{separator}{joined([first])}.", *(f" {joined([each])}." for each in rest)))
