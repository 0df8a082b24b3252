"""Groups, hosts and variables of an inventory, combined as Ansible combines them.

What one host gets, the later over the earlier: the group `all`; its other groups, parents before children, groups of
one depth by `ansible_group_priority` and then by name; the files group_vars/all and group_vars/GROUP in that order; the
host's own variables; the file host_vars/HOST. Source: ansible.vars.manager and ansible.inventory.group of ansible-core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

ALL, UNGROUPED = "all", "ungrouped"
MAX_HOSTS = 10_000
MAX_MEMBERSHIPS = 50_000  # how often hosts are named in groups

Variables = dict[str, object]
VariableFiles = Callable[[str, str], Mapping[str, object]]
"""Called with `group_vars` or `host_vars` and a name: what the files beside the inventory set for it."""


class NotPlainError(Exception):
    """The inventory, or a file beside it, holds what only ansible-inventory can read; the text says what and where."""


@dataclass
class InventoryGroup:
    """One group while it is read: the hosts and groups named in it, and its own variables."""

    hosts: dict[str, None] = field(default_factory=dict)  # dict for the order, and for membership in constant time
    children: dict[str, None] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    priority: int = 1


class GroupTree:
    """An inventory as it is read. A reader adds to it; afterwards `members` and `variables` answer."""

    def __init__(self) -> None:
        self.groups: dict[str, InventoryGroup] = {ALL: InventoryGroup(), UNGROUPED: InventoryGroup()}
        self.hosts: dict[str, Variables] = {}
        self._memberships = 0

    @property
    def is_full(self) -> bool:
        """Whether the next add_host may be refused for the number of hosts."""
        return len(self.hosts) >= MAX_HOSTS or self._memberships >= MAX_MEMBERSHIPS

    def group(self, name: str) -> InventoryGroup:
        """The group of that name, added where it is new."""
        return self.groups.setdefault(name, InventoryGroup())

    def add_host(self, name: str, group: str, port: int | None = None) -> None:
        """Put a host into a group. As in Ansible, `port` counts where the host is first named. Raises ValueError."""
        self._memberships += 1
        if self._memberships > MAX_MEMBERSHIPS:
            raise ValueError(f"hosts are named more than {MAX_MEMBERSHIPS} times")
        if name not in self.hosts:
            if len(self.hosts) == MAX_HOSTS:
                raise ValueError(f"more than {MAX_HOSTS} hosts")
            self.hosts[name] = {} if port is None else {"ansible_port": port}
        self.group(group).hosts[name] = None

    def set_variable(self, name: str, key: str, value: object) -> None:
        """Set a variable of a group or host. Ansible prefers the group where both have that name. Raises ValueError."""
        if name not in self.groups:
            self.hosts[name][key] = value
        elif key != "ansible_group_priority":
            self.groups[name].variables[key] = value
        elif isinstance(value, str | int | float):
            try:
                self.groups[name].priority = int(value)
            except (ValueError, OverflowError):
                raise ValueError("ansible_group_priority is a whole number") from None
        else:
            raise ValueError("ansible_group_priority is a whole number")

    def circle(self) -> list[str]:
        """Groups that contain each other, the first one also at the end; empty where there are none."""
        try:
            TopologicalSorter(self._parents).prepare()
        except CycleError as error:
            found: list[str] = error.args[1]
            return found
        return []

    def members(self, group: str) -> list[str]:
        """Hosts of a group and of the groups in it, each once: its own first, then those of its children."""
        if group == ALL:
            return list(self.hosts)
        hosts: dict[str, None] = {}
        row, seen = [group], {group}
        while row:
            following: list[str] = []
            for name in row:
                hosts.update(self.groups[name].hosts)
                following += self.groups[name].children
            row = [name for name in dict.fromkeys(following) if name not in seen]
            seen.update(row)
        return list(hosts)

    def variables(self, host: str, files: VariableFiles = lambda kind, name: {}) -> Variables:
        """Every variable that the host has. `files` may raise NotPlainError."""
        depth = self._depth
        groups = sorted(self._groups_of(host), key=lambda name: (depth[name], self.groups[name].priority, name))
        found = dict(self.groups[ALL].variables)
        for name in groups:
            found.update(self.groups[name].variables)
        for name in (ALL, *groups):
            found.update(files("group_vars", name))
        found.update(self.hosts[host])
        found.update(files("host_vars", host))
        return found

    def _groups_of(self, host: str) -> set[str]:
        """Every group that the host is in, but `all`."""
        direct = self._direct.get(host, set()) - {ALL, UNGROUPED} or {UNGROUPED}
        return self._with_parents(direct) - {ALL}

    def _with_parents(self, groups: Iterable[str]) -> set[str]:
        found = set(groups)
        waiting = list(found)
        while waiting:
            above = self._parents[waiting.pop()] - found
            found |= above
            waiting += above
        return found

    # What follows is computed once, when the tree is whole.

    @cached_property
    def _direct(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, group in self.groups.items():
            for host in group.hosts:
                found.setdefault(host, set()).add(name)
        return found

    @cached_property
    def _parents(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {name: set() for name in self.groups}
        for name, group in self.groups.items():
            for child in group.children:
                found[child].add(name)
        return found

    @cached_property
    def _depth(self) -> dict[str, int]:
        """Of each group, the longest way down to it from `all`, in which every group without a parent is."""
        found: dict[str, int] = {}
        for name in TopologicalSorter(self._parents).static_order():
            above = [found[parent] for parent in self._parents[name]]
            found[name] = 0 if name == ALL else 1 + max(above, default=0)
        return found
