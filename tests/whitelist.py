"""An import-linter contract that names what a package may import; whatever isn't named is refused.

import-linter's own "forbidden" names what may not be imported, so that a new module or a new library goes unnoticed.
Options: `packages` (their own modules may import one another), `allowed` (packages, the project's and others; the
standard library is always allowed) and `exceptions` ("importer -> imported").
"""

from __future__ import annotations

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class WhitelistContract(Contract):
    """Only direct imports are looked at: what an allowed package imports is that package's own contract."""

    type_name = "whitelist"

    packages = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    exceptions = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        packages, allowed = list(self.packages), list(self.allowed)  # type: ignore[call-overload]
        exceptions = set(self.exceptions)  # type: ignore[call-overload]
        refused = []
        for importer in sorted(graph.modules):
            if not _within(importer, packages):
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                known = imported.partition(".")[0] in sys.stdlib_module_names or _within(
                    imported, [*packages, *allowed]
                )
                if not known and f"{importer} -> {imported}" not in exceptions:
                    refused.append(f"{importer} -> {imported}")
        return ContractCheck(kept=not refused, metadata={"refused": refused})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["refused"]:
            output.print_error(f"{line} is not on the whitelist")


def _within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
