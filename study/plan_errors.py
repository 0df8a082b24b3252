"""Messages for a plan that can't be used: what is wanted of each key, instead of pydantic's wording."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from study.errors import PlanError

MAX_TEXT = 100_000  # characters of a plan; the largest one of campaigns/ has 3,000
MAX_DOTS = 200  # of one line: tomllib takes the square of a dotted key's length
MAX_MISTAKES = 30  # shown; the others are counted

_VARIANTS = ("constrained", "literal[", "int", "float", "str", "ExpectTable", "[key]")
"""How the last part of pydantic's location begins where a key may have several types: it names the type tried."""

_WANTED = {
    "missing": "is missing",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "{expected} is wanted",
    "string_too_long": "at most {max_length} characters are wanted",
    "too_long": "at most {max_length} are wanted",
    "too_short": "at least one is wanted",
    "value_error": "{error}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number is wanted"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number is wanted"),
    "finite_number": "a finite number is wanted",
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false is wanted"),
    **dict.fromkeys(("string_type", "string_unicode"), "text in quotation marks is wanted"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a table is wanted"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list in [ ] is wanted"),
}
"""By pydantic's type of error; the fields are its `ctx`."""

_PATTERNS = {
    "name": "small letters, digits and dashes are wanted, with a letter or a digit at both ends",
    "path": "a path that begins with / is wanted, without blanks",
    "ready": "a path that begins with / is wanted, without blanks",
    "requires": "a program's or module's name is wanted",
    "headers": "a field's name in ASCII, without blanks, and a value of one line in Latin-1 are wanted",
    "environment": "a variable's name is wanted: letters, digits and _",
    "user_classes": "names of Python classes are wanted",
    "tags": "a tag without blanks is wanted",
    **dict.fromkeys(("locustfile", "files", "requirements"), "a path relative to the plan's file is wanted"),
}
"""What the pattern of a key asks for."""


def plan_text(path: Path) -> str:
    """The text of a plan file, read once. Raises PlanError where it can't be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(4 * MAX_TEXT + 1).decode("utf-8")
    except UnicodeDecodeError as error:
        line = 1 + error.object.count(b"\n", 0, error.start)
        raise PlanError(f"plan {path}: line {line} is not UTF-8 (a body of other bytes: body_file)") from None
    except OSError as error:
        plans = [each.stem for each in path.parent.glob("*.toml")]
        hint = nearest(path.stem, plans) or " (plans are in campaigns/)"
        raise PlanError(f"plan {path}: can't be read: {error.strerror or error}{hint}") from None


def check_text(text: str, source: str) -> str | None:
    """Why a plan's text would take too long to parse; None where it won't."""
    if len(text) > MAX_TEXT:
        return f"{source}: has more than {MAX_TEXT} characters"
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MAX_DOTS and not line.lstrip().startswith("#"):
            return f"{source}: line {number} has more than {MAX_DOTS} dots"
    return None


def shown(value: object) -> str:
    """A value in a message: as repr writes it, at most 60 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of more than 4,300 digits; deep nesting
        text = "a value that is too large to show"
    return text if len(text) <= 60 else f"{text[:57]}..."


def messages(
    details: Sequence[Any], data: Mapping[str, Any], servers: Sequence[str], tables: Mapping[str, Collection[str]]
) -> list[str]:
    """One line for each key: `key: what is wanted (got ...)`. `details` are pydantic's errors.

    `data` is the plan as parsed, `servers` the keys of its [[servers]] in order, `tables` the known keys of each table:
    "" for the plan's own, "servers" for one of [[servers]].
    """
    by_key: dict[str, tuple[list[str], str]] = {}
    for detail in details:
        location = [str(part) for part in detail["loc"] if not str(part).startswith(_VARIANTS)]
        table = _table(location)
        name = location[-1] if location else "plan"
        if location[:1] == ["servers"] and len(location) > 1 and int(location[1]) < len(servers):
            location[:2] = [servers[int(location[1])]]
        key, given = ".".join(location) or "plan", detail["input"]
        if name == "expect" and isinstance(given, dict) and detail["type"] != "extra_forbidden":
            continue  # a table is meant, whose own keys are named
        if detail["type"] == "too_short" and any(other.startswith(f"{key}.") for other in by_key):
            continue  # the list is too short only because its items were refused
        wanted, got = _wanted(detail, name), f" (got {shown(given)})"
        if location[:1] == ["think_time"] and detail["type"] in ("missing", "too_long", "tuple_type"):
            key, wanted = "think_time", "two numbers are wanted, as [1, 5]"
            got = f" (got {shown(data.get('think_time'))})"
        elif detail["type"] == "extra_forbidden":
            near = nearest(name, tables.get(table, ())) if len(by_key) < MAX_MISTAKES else ""  # which isn't shown
            wanted, got = f"unknown key{near}", ""
        elif detail["type"] == "missing":
            got = ""
        by_key.setdefault(key, ([], got))[0].append(wanted)
    return [f"{key}: {', or: '.join(dict.fromkeys(wanted))}{got}" for key, (wanted, got) in by_key.items()]


def _table(location: Sequence[str]) -> str:
    """The table that a key stands in, as `tables` calls it: those of a server have the plan's own names."""
    above = [part for part in location[:-1] if not part.isdigit()]
    return above[-1] if above else ""


def _wanted(detail: Any, name: str) -> str:
    if detail["type"] == "string_pattern_mismatch" and "\0" in detail["input"]:
        return "text without a NUL character is wanted"
    if detail["type"] == "string_pattern_mismatch":
        return next((words for key, words in _PATTERNS.items() if key in detail["loc"]), "is no such name")
    if detail["input"] != detail["input"]:
        return "a number is wanted"  # nan is less than no bound and more than none
    if name == "servers" and detail["type"] == "tuple_type":
        return "[[servers]] tables are wanted"
    context = {
        key: f"{value:.12g}" if isinstance(value, float) else value for key, value in detail.get("ctx", {}).items()
    }
    return _WANTED.get(detail["type"], "is not a value that it can have").format_map(context)


def nearest(name: str, known: Collection[str]) -> str:
    """` (did you mean NAME?)` where a known name is nearly the same, else nothing."""
    near = difflib.get_close_matches(name[:100], known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def whole_message(source: str, wrong: Sequence[str]) -> str:
    """All mistakes of a plan in one message, each on a line; a control character is shown as `?`."""
    count = "1 mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
    lines = [re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", line) for line in wrong[:MAX_MISTAKES]]
    if len(wrong) > MAX_MISTAKES:
        lines.append(f"and {len(wrong) - MAX_MISTAKES} more")
    return f"{source}: {count}\n" + "\n".join(f"  {line}" for line in lines)
