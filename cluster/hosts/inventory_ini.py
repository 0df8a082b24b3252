"""Ansible's INI inventories: groups, `[group:children]`, `[group:vars]`, ranges, ports and typed values.

Source of the rules: ansible.plugins.inventory.ini and ansible.parsing.utils.addresses of ansible-core.
"""

from __future__ import annotations

import ast
import re
import shlex
import string
import warnings
from collections.abc import Iterator

from cluster.hosts.inventory_groups import ALL, MAX_HOSTS, UNGROUPED, GroupTree, NotPlainError

MAX_VALUE = 10_000  # characters of one value; longer ones are nobody's address, port or path
_HEADER = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_BRACKETED_PORT = re.compile(r"\[(.+)\]:([0-9]{1,10})")
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]{1,10})")
_YAML = re.compile(r"---(\s.*)?|[\w.-]+:(\s+#.*)?|plugin:\s.*")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_LITERAL = re.compile(r"\s*(?:[\d'\"\[{(.+-]|[bBuUrR]{1,2}['\"]|(?:True|False|None)\b)")


def read_ini(text: str) -> tuple[GroupTree, list[str]]:
    """The groups and hosts of an INI inventory, and its mistakes, each with its line's number.

    Raises NotPlainError for YAML, a script, and an encrypted file.
    """
    refuse_other_formats(text)
    tree = GroupTree()
    mistakes: list[str] = []
    declared = set(tree.groups)
    named: list[tuple[int, str, str]] = []  # each section of variables, each child, with its line
    group, kind = UNGROUPED, "hosts"
    for number, line in _lines(text):
        if _CONTROL.search(line):
            mistakes.append(f"line {number}: a control character: {line[:60]!r}")
        elif header := _HEADER.fullmatch(line):
            group, kind = header[1], header[2] or "hosts"
            if kind not in ("hosts", "children", "vars"):
                mistakes.append(f"line {number}: [{group}:{kind}]: only :children and :vars are known")
                kind = "passed over"
                continue
            tree.group(group)
            if kind == "vars":
                named.append((number, f"[{group}:vars]", group))
            else:
                declared.add(group)
        elif line.startswith("[") and line.endswith("]"):
            mistakes.append(f"line {number}: not a group header: {line[:60]!r}")
            kind = "passed over"
        elif kind == "children" and (match := _CHILD.fullmatch(line)):
            child = match[1]
            if child == ALL:
                mistakes.append(f"line {number}: [{group}:children]: {ALL} is the group that contains every other")
                continue
            named.append((number, f"[{group}:children]", child))
            tree.group(group).children[child] = None
        else:
            try:
                _add_line(tree, group, kind, line)
            except ValueError as error:
                mistakes.append(f"line {number}: {error}")
                if tree.is_full:
                    break
    mistakes += [f"line {number}: {where}: there is no group {of}" for number, where, of in named if of not in declared]
    for _, _, of in named:
        tree.group(of)  # adds the group where it is missing, so that circle() visits every child
    if circle := tree.circle():
        mistakes.append(f"groups contain each other: {' < '.join(circle)}")
    return tree, mistakes


def refuse_other_formats(text: str) -> None:
    """Raise NotPlainError where a text is no INI."""
    first = next((line for _, line in _lines(text)), "")
    if text.startswith("#!"):
        raise NotPlainError("this is a script")
    if first.startswith("$ANSIBLE_VAULT"):
        raise NotPlainError("this is encrypted by ansible-vault")
    if _YAML.fullmatch(first):
        raise NotPlainError("this is YAML")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line and line[0] not in "#;":
            yield number, line


def _add_line(tree: GroupTree, group: str, kind: str, line: str) -> None:
    """One line below a header. Raises ValueError."""
    if kind == "vars":
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"not key=value: {line[:60]!r}")
        tree.set_variable(group, key.strip(), literal(value.strip()))
    elif kind == "children":
        raise ValueError(f"not a group's name: {line[:60]!r}")
    elif kind == "hosts":
        pattern, *assignments = _words(line)
        variables = []
        for word in assignments:
            key, equals, value = word.partition("=")
            if not equals:
                template = "; only Ansible fills in a template: write the value itself" if "{{" in line else ""
                raise ValueError(f"{pattern[:60]}: not key=value: {word[:60]!r}{template}")
            variables.append((key, literal(value)))
        names, port = expand(pattern)
        for name in names:
            tree.add_host(name, group, port)
            for key, setting in variables:
                tree.set_variable(name, key, setting)


def _words(line: str) -> list[str]:
    if not re.search(r"[\"'\\#]", line):
        return re.split(r"[ \t\r\n]+", line)  # the same, in a fiftieth of the time
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise ValueError(f"{str(error).lower()}: {line[:60]!r}") from None
    if not words or not words[0]:
        raise ValueError(f"no host's name: {line[:60]!r}")
    return words


def literal(text: str) -> object:
    """A value as Ansible types it: a Python literal where it is one, else the text. Raises ValueError."""
    if len(text) > MAX_VALUE:
        raise ValueError(f"a value of more than {MAX_VALUE} characters: {text[:20]!r}...")
    if not _LITERAL.match(text):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python doesn't know
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def expand(pattern: str) -> tuple[list[str], int | None]:
    """The host names that a pattern stands for, and the port that follows it. Raises ValueError."""
    port = None
    if pattern.startswith("[") and not re.match(r"\[[^\]]*:[^\]]*\]", pattern):
        raise ValueError(f"not a group header: {pattern[:60]!r}")
    if pattern.startswith("---") or pattern.endswith(":"):
        raise ValueError(f"not a host's name: {pattern[:60]!r}")
    if match := _BRACKETED_PORT.fullmatch(pattern) or _PORT.fullmatch(pattern):
        pattern, port = match[1], int(match[2])
    names = [pattern]
    while "[" in names[0]:
        names = [name for each in names for name in _range(each, MAX_HOSTS // len(names))]
    return names, port


def _range(pattern: str, most: int) -> list[str]:
    """Names with the first range of a pattern filled in: [1:4], [01:12], [1:9:2], [a:f]. Both ends are included."""
    head, _, rest = pattern.partition("[")
    bounds, closed, tail = rest.partition("]")
    first, *others = bounds.split(":")
    if not closed or len(others) not in (1, 2) or not others[0]:
        raise ValueError(f"{pattern[:60]}: a range is [FIRST:LAST] or [FIRST:LAST:STEP]")
    last, first = others[0], first or "0"
    width = len(first) if first.startswith("0") else 0
    if width > 1 and width != len(last):
        raise ValueError(f"{pattern[:60]}: {first[:20]} and {last[:20]} must have the same number of digits")
    try:
        values = _values(first, last, int(others[1]) if len(others) == 2 else 1)
    except ValueError:
        raise ValueError(f"{pattern[:60]}: a range is of numbers or of single letters") from None
    if not values:
        raise ValueError(f"{pattern[:60]}: the range [{bounds[:40]}] is empty")
    if values[most:]:
        raise ValueError(f"{pattern[:60]}: too many hosts; an inventory may have {MAX_HOSTS}")
    return [f"{head}{str(value).zfill(width)}{tail}" for value in values]


def _values(first: str, last: str, step: int) -> range | str:
    letters = string.ascii_letters
    if len(first) == len(last) == 1 and first in letters and last in letters:
        return letters[letters.index(first) : letters.index(last) + 1 : step]
    return range(int(first), int(last) + 1, step)
