"""docs/plan-keys.md against the types of a plan, and docs/exit-statuses.md against the table of statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from study.exit_status import ExitStatus
from study.plan import Plan, SearchTable, Slo
from study.request import ExpectTable, Frozen, RequestTable
from study.workload import PLACEHOLDERS, Server, Work

DOCS = Path(__file__).resolve().parents[3] / "docs"
SECTIONS: dict[str, type[Frozen]] = {
    "The plan itself": Plan,
    "[work]": Work,
    "[request]": RequestTable,
    "[request.expect]": ExpectTable,
    "[[servers]]": Server,
    "[slo]": Slo,
    "[search]": SearchTable,
}


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the rows below a heading that begin with code."""
    text = (DOCS / page).read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def type_of(schema: dict[str, Any]) -> str:
    """A JSON schema in the words of the page."""
    if "$ref" in schema:
        return "table"
    if "anyOf" in schema:
        return ", or ".join(type_of(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f'`"{value}"`' for value in schema["enum"])
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if schema["type"] == "array" and "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {type_of(schema['prefixItems'][0])}"
    if schema["type"] == "array":
        return f"list: {type_of(schema['items'])}"
    words = {"object": "table", "boolean": "`true`, `false`"}
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema]
    return ", ".join((words.get(schema["type"], schema["type"]), *limits))


def default_of(name: str, schema: dict[str, Any], required: list[str]) -> str:
    """The default as TOML, `required`, or nothing."""
    if name in required:
        return "required"
    value = schema.get("default")
    return "" if value is None or value in ([], {}) or "$ref" in schema else f"`{json.dumps(value)}`"


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented_with_its_type_and_default(heading: str) -> None:
    schema = SECTIONS[heading].model_json_schema()
    required = schema.get("required", [])
    expected = [
        [f"`{name}`", type_of(key), default_of(name, key, required)] for name, key in schema["properties"].items()
    ]
    rows = table("plan-keys.md", heading)
    assert [row[:3] for row in rows] == expected
    assert all(len(row) == 5 and row[4] for row in rows)  # unit, which may be empty, and meaning


def test_every_placeholder_of_a_command_is_documented() -> None:
    rows = table("plan-keys.md", "Placeholders of a command")
    assert rows == [[f"`{{{name}}}`", meaning] for name, meaning in PLACEHOLDERS.items()]


def test_every_exit_status_is_documented_with_its_meaning() -> None:
    rows = table("exit-statuses.md", "The table")
    assert rows == [[f"`{status.value}`", f"`{status.name}`", status.meaning] for status in ExitStatus]
