"""The study on the lab's control machine: `fab` there, with an inventory and a short plan in a test's own directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.machines import CONTROL, HOSTS, Lab
from tests.local.study import FAB, PROJECT, environment, write_plan

INVENTORY, PLAN = "lab.ini", "short.toml"


class Control:
    """Where a person sits."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.inventory = directory / INVENTORY
        self.inventory.write_text(lab.inventory(), encoding="utf-8")
        self.plan = write_plan(directory)

    def fab(self, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run fab to its end."""
        return subprocess.run(
            self._argv(arguments), cwd=self.directory, env=self._environment(),
            capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start fab, as from a terminal of its own, and go on."""
        return subprocess.Popen(
            self._argv(arguments), cwd=self.directory, env=self._environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def left(self) -> dict[str, list[str]]:
        return left(self.lab)

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return self.lab.command(CONTROL, [*FAB, *arguments])

    def _environment(self) -> dict[str, str]:
        return environment(STUDY_INVENTORY=str(self.inventory), STUDY_PLAN=str(self.plan))


def left(lab: Lab) -> dict[str, list[str]]:
    """What runs or listens on any host, by its name; empty where nothing does."""
    found = {host: [*lab.left(host), *lab.listening(host)] for host in HOSTS}
    return {host: what for host, what in found.items() if what}


__all__ = ["INVENTORY", "PLAN", "PROJECT", "Control", "left"]
