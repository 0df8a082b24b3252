"""Read a stored value into its type of study/formats; pydantic checks it. Unknown keys are passed over."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from study.errors import FormatError
from study.formats.json_files import read_json

Stored = TypeVar("Stored")


def read_as(kind: type[Stored], path: Path) -> Stored:
    """Read a file that write_json wrote. Raises FormatError for another version, a damaged file or a wrong value."""
    return parse_as(kind, read_json(path), path)


def parse_as(kind: type[Stored], value: Any, source: Path | str) -> Stored:
    """Check a JSON value against a type. Raises FormatError, which names `source` and the first wrong key."""
    try:
        parsed: Stored = _adapter(cast(Any, kind)).validate_python(value)
    except ValidationError as error:
        raise FormatError(f"{source}: {first_mistake(error)}") from None
    return parsed


def first_mistake(error: ValidationError) -> str:
    """The first wrong key of a value, and what is wrong with it."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
