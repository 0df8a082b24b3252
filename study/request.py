"""The request that every user sends, and what a good answer to it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

RequestTarget = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=2000)]
Status = Annotated[int, Field(ge=200, le=599, strict=True)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
FieldName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=100)]
FieldValue = Annotated[str, Field(pattern=r"^[\t -~\xa0-\xff]*$", max_length=8000)]
"""Of one line, in Latin-1: a line end within it would begin another field."""
NO_NUL = r"^[^\x00]*$"
Argument = Annotated[str, Field(pattern=NO_NUL)]
"""What becomes an argument of a program, which can't hold a NUL."""
FileName = Annotated[str, Field(min_length=1, max_length=1000, pattern=NO_NUL)]
Number = Annotated[int, Field(ge=0, lt=2**53, strict=True)]

REQUEST_KEYS = ("path", "method", "expect")
"""Of a request, those that a server's own table may have."""
OWN_FIELDS = ("connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer")
"""Fields of a request's head that the client sets itself, or whose protocol it doesn't speak."""
DRAWN = "{n}"  # in a path: a number drawn from `range`


class Frozen(BaseModel):
    """Base of a plan's tables: immutable, refuses unknown keys."""

    # protected_namespaces: pydantic reserves names that begin with `model`, which are keys of a plan.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


class ExpectTable(Frozen):
    """A good answer, where more is wanted than a status or a body."""

    status: Status = 200
    body: Argument | None = None
    """The whole body."""
    contains: Annotated[str, Field(min_length=1, pattern=NO_NUL)] | None = None
    """A part of the body."""
    headers: dict[FieldName, FieldValue] = {}
    """Fields of the head with their whole values."""


class RequestTable(Frozen):
    """What every user sends, and what a good answer is."""

    method: Method = "GET"
    path: RequestTarget = "/"
    """With `{n}` in it, a number of `range` is drawn for each request."""
    range: tuple[Number, Number] | None = None
    """The smallest and the largest number for `{n}`."""
    paths: FileName | None = None
    """A file with a path on each line: one of them is drawn for each request."""
    headers: dict[FieldName, FieldValue] = {}
    body: str | None = None
    """Sent as UTF-8."""
    body_file: FileName | None = None
    """The file that has the body."""
    expect: Status | Argument | ExpectTable | None = None
    """Expected status, or expected body of an answer with status 200; without it any body with status 200 is good."""

    @field_validator("range")
    @classmethod
    def _range_ordered(cls, numbers: tuple[int, int] | None) -> tuple[int, int] | None:
        if numbers is not None and numbers[0] > numbers[1]:
            raise ValueError("the smaller number comes first")
        return numbers

    @property
    def wanted(self) -> ExpectTable:
        """What a good answer is, in full."""
        if isinstance(self.expect, ExpectTable):
            return self.expect
        if isinstance(self.expect, int):
            return ExpectTable(status=self.expect)
        return ExpectTable(body=self.expect)

    @property
    def varies(self) -> bool:
        """Whether the path is another one each time."""
        return self.range is not None or self.paths is not None

    @property
    def has_body(self) -> bool:
        """Whether a body is sent."""
        return self.body is not None or self.body_file is not None

    @property
    def label(self) -> str:
        """The request in statistics: its path, or what its paths are drawn from."""
        return self.paths if self.paths is not None else self.path


def request_mistakes(entry: object, key: str) -> list[str]:
    """Mistakes in one raw table of a request that concern several keys together, each with its key's name."""
    if not isinstance(entry, dict):
        return []
    wrong = []
    path, drawn = entry.get("path"), entry.get("range") is not None
    if "body" in entry and "body_file" in entry:
        wrong.append(f"{key}.body: stands beside body_file: keep one of the two")
    if "paths" in entry and ("path" in entry or drawn):
        wrong.append(f"{key}.paths: takes the place of path and range: keep the one or the others")
    if isinstance(path, str):
        braces = re.findall(r"\{[^{}]*\}|[{}]", path)
        if stray := [brace for brace in braces if brace != DRAWN]:
            wrong.append(f"{key}.path: {stray[0]} stands for nothing (known: {DRAWN}, with range; a brace is %7B)")
        elif bool(braces) != drawn and "paths" not in entry:
            needs = f"{DRAWN} needs range = [1, 1000]" if braces else f"range needs {DRAWN} in path"
            wrong.append(f"{key}.{'path' if braces else 'range'}: {needs}")
    elif drawn and "paths" not in entry:
        wrong.append(f"{key}.range: range needs {DRAWN} in path")
    headers = entry.get("headers")
    for name in headers if isinstance(headers, dict) else ():
        if name.lower() in OWN_FIELDS:
            wrong.append(f"{key}.headers.{name[:60]}: is set by the client itself")
    if entry.get("method") == "HEAD" and ("body" in entry or "body_file" in entry):
        wrong.append(f"{key}.body: HEAD has none")
    return wrong + _expect_mistakes(entry, key)


def _expect_mistakes(entry: Mapping[str, Any], key: str) -> list[str]:
    expect = entry.get("expect")
    of_body = isinstance(expect, str) or (isinstance(expect, dict) and not {"body", "contains"}.isdisjoint(expect))
    head = entry.get("method") == "HEAD" and of_body
    return [f"{key}.expect: the answer to HEAD has no body: expect a status"] if head else []
