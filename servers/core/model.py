"""The declaration in each model file, and the registry: a listing of the folder.

Keep imports light: at every fork, a process for each connection copies the page tables of everything that is imported.
Modules that import much (dataclasses, logging, pathlib, email) are therefore not used in this package; they would cost
the forking models a third of their rate.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

PACKAGE = __name__.partition(".")[0]


class Option(NamedTuple):
    """One option of a single model, such as a pool's size; `serve` receives it as the keyword argument `name`."""

    name: str
    help: str
    default: Any
    parse: Callable[[str], Any] = int


class Model(NamedTuple):
    """The declaration that each model file makes as `MODEL`, next to its function `serve(listener, handle, stop)`.

    `needs`: modules outside the standard library. `slots`: how many clients are served at once, as a number or the name
    of the option that sets it; None: no fixed number. `descriptors`: the least descriptor that the design can't watch;
    None: only the process's limit applies. A model that isn't `measured` is a tool of the study: it passes the same
    tests, and is not among the models that a plan compares by default.
    """

    name: str
    summary: str
    needs: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    slots: int | str | None = None
    measured: bool = True
    descriptors: int | None = None

    def missing(self) -> list[str]:
        """The needs that are not installed here."""
        if not self.needs:
            return []
        from importlib.util import find_spec

        return [need for need in self.needs if find_spec(need) is None]


def cores() -> int:
    """Number of cores that this process may use; the default sizes of pools follow from it."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def at_least_one(text: str) -> int:
    """Parse the size of a pool. Raises ValueError where it is not a whole number of at least 1."""
    if (size := int(text)) < 1:
        raise ValueError(text)
    return size


def names() -> list[str]:
    """The names of all models that have a file, measured or not."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    files = [name.removesuffix(".py") for name in os.listdir(folder) if name.endswith(".py")]
    return sorted(name.replace("_", "-") for name in files if not name.startswith("_"))


def load(name: str) -> ModuleType:
    """Import one model's file and no other, so that a file that can't be imported breaks its own model only."""
    return importlib.import_module(f"{PACKAGE}.{name.replace('-', '_')}")


def measured() -> list[Model]:
    """The models that the study offers, by name."""
    models: list[Model] = [load(name).MODEL for name in names()]
    return [model for model in models if model.measured]
