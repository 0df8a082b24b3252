"""Files of variables beside an inventory, group_vars/ and host_vars/, as far as they are plain: `key: value` lines.

Anything else that YAML allows is refused by name, since guessing at it would change what it means; ansible-inventory
reads it where it is installed. Which files are read, and in which order: ansible.parsing.dataloader.find_vars_files.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.hosts.inventory_groups import NotPlainError, VariableFiles, Variables

MAX_BYTES = 1_000_000  # of one file
EXTENSIONS = (".yml", ".yaml", ".json")
_LINE = re.compile(r"([A-Za-z_]\w*):(?:[ ]+(.*))?")
_WORDS: dict[str, object] = {"": None, "~": None}
_WORDS |= {form: None for word in ("null",) for form in (word, word.title(), word.upper())}
_WORDS |= {form: True for word in ("yes", "true", "on") for form in (word, word.title(), word.upper())}
_WORDS |= {form: False for word in ("no", "false", "off") for form in (word, word.title(), word.upper())}
_STRING = re.compile(r"[A-Za-z_/][^\x00-\x1f:#\x7f]*(?:[:#](?!\s|$)[^\x00-\x1f:#\x7f]*)*|~[\w./-]+")
_CPUS = re.compile(r"\d{1,4}(?:,\d{1,4}|-\d{1,4}(?!-))+")


def read_text(path: Path) -> str:
    """A text file whole. Raises OSError, and ValueError where it is no text, or has more than MAX_BYTES."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return decode(data)


def decode(data: bytes) -> str:
    """As Ansible reads UTF-8: a comment's line may be anything. Raises ValueError."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    data = data.removeprefix(b"\xef\xbb\xbf")
    with contextlib.suppress(UnicodeDecodeError):
        return data.decode("utf-8")
    lines = [b"#" if line.lstrip()[:1] in (b"#", b";") else line for line in data.split(b"\n")]
    try:
        return b"\n".join(lines).decode("utf-8")
    except UnicodeDecodeError as error:
        line = 1 + error.object.count(b"\n", 0, error.start)
        raise ValueError(f"line {line} is not UTF-8") from None


def variable_files(directory: Path) -> VariableFiles:
    """What reads group_vars/ and host_vars/ of a directory, each file once."""
    known: dict[tuple[str, str], Variables] = {}

    def read(kind: str, name: str) -> Variables:
        if (kind, name) not in known:
            known[kind, name] = {}
            for path in () if "/" in name else _files_of(directory / kind, name):
                known[kind, name].update(_read_file(path, f"{path.relative_to(directory)}"))
        return known[kind, name]

    return read


def _files_of(directory: Path, name: str) -> Iterator[Path]:
    """The file NAME, NAME.yml, NAME.yaml or NAME.json, the first that there is; of a directory, every file in it."""
    try:
        for path in (directory / f"{name}{extension}" for extension in ("", *EXTENSIONS)):
            if path.is_dir():
                yield from _files_in(path)
                return
            if path.exists():
                yield path
                return
    except OSError as error:
        raise NotPlainError(f"{error.filename}: {error.strerror}") from None


def _files_in(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            yield from _files_in(path)
        elif path.is_file() and path.suffix in ("", *EXTENSIONS):
            yield path


def _read_file(path: Path, shown: str) -> Variables:
    try:
        text = read_text(path)
        return _json(text) if text.lstrip().startswith("{") else dict(_plain_lines(text))
    except OSError as error:
        raise NotPlainError(f"{shown}: can't be read: {error.strerror}") from None
    except ValueError as error:
        raise NotPlainError(f"{shown}: {error}") from None


def _json(text: str) -> Variables:
    try:
        found: Variables = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON") from None
    return found


def _plain_lines(text: str) -> Iterator[tuple[str, object]]:
    """The keys and values of plain `key: value` lines. Raises ValueError for any other line."""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.rstrip()
        if not line or line.lstrip().startswith("#") or (line == "---" and number == 1):
            continue
        if line.startswith("$ANSIBLE_VAULT"):
            raise ValueError("it is encrypted by ansible-vault")
        match = _LINE.fullmatch(line)
        if match is None or match[1] in _WORDS:
            raise ValueError(f"line {number} is not a plain `key: value`: {line[:60]!r}")
        yield match[1], _scalar(match[2] or "", number, line)


def _scalar(text: str, number: int, line: str) -> object:
    """A plain scalar as YAML 1.1 types it. What it could take for a date, a base or a block is refused."""
    text = text.strip()
    if match := re.fullmatch(r"""'((?:[^']|'')*)'\s*(?:\s#.*)?|"([^"\\]*)"\s*(?:\s#.*)?""", text):
        return match[1].replace("''", "'") if match[1] is not None else match[2]
    text = re.sub(r"(?:^|\s)#.*", "", text).rstrip()
    if text in _WORDS:
        return _WORDS[text]
    readers: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
        (re.compile(r"-?(?:0|[1-9]\d{0,17})"), int),
        (re.compile(r"-?(?:0|[1-9]\d{0,8})\.\d{1,9}"), float),
        (_CPUS, str),
        (_STRING, str),
    )
    for pattern, convert in readers:
        if pattern.fullmatch(text):
            return convert(text)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"line {number} is not a plain `key: value`: {line[:60]!r}") from None
    return text
