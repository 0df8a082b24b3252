"""What a model file says about itself, and how the folder becomes the registry.

Weight: a process for each connection copies the page tables of everything imported, at every fork.
Modules that draw in much (dataclasses, logging, pathlib, email) are therefore not used in this package:
they cost that model a third of its rate.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

PACKAGE = __name__.partition(".")[0]


class Option(NamedTuple):
    """One option of a model's own, such as a pool's size; `serve` gets it as a keyword of the same name."""

    name: str
    help: str
    default: Any
    parse: Callable[[str], Any] = int


class Model(NamedTuple):
    """The declaration that each model file makes as `MODEL`, beside its function `serve(listener, handle, stop)`.

    `needs` names modules outside the standard library. `descriptors` is the number from which on the design can't watch
    a descriptor, where it has one beside the process's limit. A model that isn't `measured` is a tool of the study: it
    runs and conforms like the others, and is not offered among them.
    """

    name: str
    summary: str
    needs: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    slots: int | str | None = None
    measured: bool = True
    descriptors: int | None = None

    def missing(self) -> list[str]:
        """The needs that can't be met here."""
        if not self.needs:
            return []
        from importlib.util import find_spec

        return [need for need in self.needs if find_spec(need) is None]


def cores() -> int:
    """Cores that this process may use: what pools take their size from."""
    return len(os.sched_getaffinity(0))


def at_least_one(text: str) -> int:
    """The size of a pool. Raises ValueError for what is none."""
    if (size := int(text)) < 1:
        raise ValueError(text)
    return size


def names() -> list[str]:
    """Every model that has a file, measured or not."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    files = [name.removesuffix(".py") for name in os.listdir(folder) if name.endswith(".py")]
    return sorted(name.replace("_", "-") for name in files if not name.startswith("_"))


def load(name: str) -> ModuleType:
    """Import one model's file, and no other: a file that can't be imported breaks its own model only."""
    return importlib.import_module(f"{PACKAGE}.{name.replace('-', '_')}")


def measured() -> list[Model]:
    """The models that the study offers, in order of name."""
    models: list[Model] = [load(name).MODEL for name in names()]
    return [model for model in models if model.measured]
