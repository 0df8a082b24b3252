"""The unit of a stored field is part of its type: `seconds: Seconds` is a float, and `units` knows that it is in s."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

Metadata = TypeVar("Metadata")


@dataclass(frozen=True)
class StoredUnit:
    """Metadata of an annotated type. `number` is the format in which a CSV file has a float of this unit."""

    symbol: str
    number: str = ".4g"


UnixTime = Annotated[float, StoredUnit("s", ".3f")]
Seconds = Annotated[float, StoredUnit("s", ".4f")]
Milliseconds = Annotated[float, StoredUnit("ms", ".3f")]
Bytes = Annotated[int, StoredUnit("B")]
Mebibytes = Annotated[int, StoredUnit("MiB")]
Cores = Annotated[float, StoredUnit("cores")]
Share = Annotated[float, StoredUnit("0-1")]
PerSecond = Annotated[float, StoredUnit("1/s")]
EncodedHistogram = Annotated[str, StoredUnit("µs")]
"""HdrHistogram V2: base64 of the compressed form; 1 µs to 5 minutes, three significant digits."""


def units_of(kind: type) -> dict[str, str]:
    """The unit of each field of a dataclass, in the order of its fields; "" for a field without one."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: next((each.symbol for each in metadata_of(hint, StoredUnit)), "") for name, hint in hints.items()}


def metadata_of(hint: Any, kind: type[Metadata]) -> Iterator[Metadata]:
    """All metadata of one class in a type hint, those of `X | None` and of `tuple[X, ...]` included."""
    for part in (*getattr(hint, "__metadata__", ()), *get_args(hint)):
        if isinstance(part, kind):
            yield part
        elif not isinstance(part, str | bytes):
            yield from metadata_of(part, kind)
