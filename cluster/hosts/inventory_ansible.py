"""Inventories that only Ansible can read (YAML, scripts, plug-ins, encrypted files), as ansible-inventory lists them.

`ansible-inventory --list` reads files and asks an inventory's own sources; it contacts none of the hosts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.hosts.inventory_groups import UNGROUPED, GroupTree, NotPlainError
from study.errors import InventoryError

PROGRAM = "ansible-inventory"
TIMEOUT_S = 60.0  # an inventory of a cloud's is asked over the network
MAX_BYTES = 64_000_000
SETTINGS = {
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",  # else a file that nothing can read is an empty inventory
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_FORCE_COLOR": "false",
    "ANSIBLE_INVENTORY_EXPORT": "false",
    "ANSIBLE_DEPRECATION_WARNINGS": "false",
}


def ansible_inventory() -> str | None:
    """The program's path: on PATH, or beside the interpreter; None where it isn't installed."""
    return shutil.which(PROGRAM) or shutil.which(PROGRAM, path=str(Path(sys.executable).parent))


def read_with_ansible(path: Path, reason: NotPlainError) -> GroupTree:
    """The inventory as ansible-inventory lists it; `reason` is why the study doesn't read it by itself.

    Raises InventoryError where the program is missing, refuses the inventory, or takes too long.
    """
    program = ansible_inventory()
    if program is None:
        raise InventoryError(
            f"inventory {path}: {reason}. The study reads INI; for anything else it asks {PROGRAM}, "
            "which isn't installed here: pip install ansible-core"
        )
    status, out, err = _run([program, f"--inventory={path}", "--list"], path)
    if status:
        said = " ".join(err.split()) or f"exit status {status}"
        raise InventoryError(f"inventory {path}: {PROGRAM} refuses it: {one_line(said[-2000:])}")
    try:
        return read_json(out)
    except (ValueError, NotPlainError) as error:
        raise InventoryError(f"inventory {path}: {PROGRAM}'s answer: {error}") from None


def _run(argv: list[str], path: Path) -> tuple[int, str, str]:
    """Exit status, output, error output. On a timeout, the program and what it started are ended."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=os.environ | SETTINGS, start_new_session=True
        ) as process:
            try:
                process.wait(TIMEOUT_S)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise InventoryError(
                        f"inventory {path}: {PROGRAM} took more than {TIMEOUT_S:g} s; what does `{PROGRAM} -i {path} "
                        "--list` wait for?"
                    ) from None
                raise
        for file in (out, err):
            file.seek(0)
        return process.returncode, _text(out.read(MAX_BYTES)), _text(err.read(100_000))


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def one_line(text: str) -> str:
    """The text without control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def read_json(text: str) -> GroupTree:
    """Groups and hosts from what `ansible-inventory --list` or an inventory script prints.

    Raises ValueError for anything else, and NotPlainError for JSON in the form of Ansible's YAML inventories.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object of groups")
    tree = GroupTree()
    for name, group in data.items():
        if name != "_meta":
            _add_group(tree, name, group)
    meta = data.get("_meta", {})
    hostvars = meta.get("hostvars", {}) if isinstance(meta, dict) else None
    if not isinstance(hostvars, dict) or not all(isinstance(each, dict) for each in hostvars.values()):
        raise ValueError("_meta.hostvars is not an object with an object for each host")
    for host, variables in hostvars.items():
        if host not in tree.hosts:
            tree.add_host(host, UNGROUPED)
        tree.hosts[host].update(variables)
    if circle := tree.circle():
        raise ValueError(f"groups contain each other: {' < '.join(circle)}")
    return tree


def _add_group(tree: GroupTree, name: str, group: object) -> None:
    if isinstance(group, list):
        group = {"hosts": group}
    if not isinstance(group, dict):
        raise ValueError(f"the group {name} is neither an object nor a list of hosts")
    if not group.keys() & {"hosts", "children", "vars"}:
        group = {"hosts": [name], "vars": group} if group else {}
    hosts, children, variables = group.get("hosts", []), group.get("children", []), group.get("vars", {})
    if isinstance(hosts, dict) or isinstance(children, dict):
        raise NotPlainError("this is JSON in the form of Ansible's YAML inventories")
    if not _are_names(hosts) or not _are_names(children) or not isinstance(variables, dict):
        raise ValueError(f"the group {name}: hosts and children are lists of names, vars is an object")
    tree.group(name)
    for host in hosts:
        tree.add_host(host, name)
    for child in children:
        tree.group(child)
        tree.group(name).children[child] = None
    for key, value in variables.items():
        tree.set_variable(name, key, value)


def _are_names(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and value for value in values)
