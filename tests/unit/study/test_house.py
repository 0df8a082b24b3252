"""Rules for the whole code base that no linter checks: unique names, docstrings, sizes, links between documents."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
PACKAGES = ("servers", "study", "cluster", "analysis")
LONGEST_MODULE = 350  # lines
LARGEST_FOLDER = 14  # modules, without __init__ and __main__
ENTRY_MODULES = {"__init__", "__main__"}
# Inputs of tests: scripts, one of them with the name of a Python file, and Locust's user classes, as people write them.
INPUTS = (Path("tests/cases"), Path("tests/locustfiles"))
BARE_TWINS = Path("benchmarks/bare")  # named like the models of servers/ on purpose

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def modules(*folders: str) -> list[Path]:
    """Python files below these folders, relative to the project."""
    found = (path.relative_to(PROJECT) for folder in folders for path in (PROJECT / folder).rglob("*.py"))
    return sorted(path for path in found if not any(inputs in path.parents for inputs in INPUTS))


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse((PROJECT / module).read_text(encoding="utf-8"))


def top_level(module: Path) -> Iterator[Definition]:
    return (node for node in tree(module).body if isinstance(node, Definition))


def repeated(names: Iterator[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def test_every_public_definition_has_a_docstring() -> None:
    missing = [
        f"{module}:{node.lineno} {node.name}"
        for module in modules(*PACKAGES, "benchmarks")
        for node in top_level(module)
        if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not missing, "no docstring:\n" + "\n".join(missing)


def test_no_line_of_a_string_is_a_statement_of_its_own() -> None:
    """As the second line of `return "..."` is without parentheses around both. One that follows an assignment describes
    the attribute."""
    cut_off = [
        f"{module}:{line.lineno}"
        for module in modules(*PACKAGES, "benchmarks", "tests")
        for node in ast.walk(tree(module))
        for body in (getattr(node, name, None) for name in ("body", "orelse", "finalbody"))
        if isinstance(body, list)
        for before, line in pairwise(body)
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
        if not isinstance(before, ast.Assign | ast.AnnAssign)
    ]
    assert not cut_off


def test_no_class_name_occurs_twice() -> None:
    classes = [
        (node.name, str(module))
        for module in modules(*PACKAGES, "benchmarks", "tests")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ClassDef)
    ]
    twice = repeated(name for name, _ in classes)
    places = [f"{name}: {module}" for name, module in sorted(classes) if name in twice]
    assert not places, "the same class name:\n" + "\n".join(places)


def test_no_module_name_occurs_twice() -> None:
    named = [
        module
        for module in modules(*PACKAGES, "benchmarks")
        if module.stem not in ENTRY_MODULES and module.parent != BARE_TWINS
    ]
    twice = repeated(module.stem for module in named)
    places = [f"{module.stem}: {module}" for module in named if module.stem in twice]
    assert not places, "the same module name:\n" + "\n".join(sorted(places))


def test_no_definition_has_the_name_of_its_module() -> None:
    shadowing = [
        f"{module}: {node.name}"
        for module in modules(*PACKAGES, "benchmarks")
        for node in top_level(module)
        if node.name == module.stem
    ]
    assert not shadowing, "named like its module:\n" + "\n".join(shadowing)


def test_no_module_is_too_long() -> None:
    lengths = {
        str(module): len((PROJECT / module).read_text(encoding="utf-8").splitlines())
        for module in [*modules(*PACKAGES, "benchmarks"), Path("fabfile.py")]
    }
    long = [f"{module}: {lines} lines" for module, lines in lengths.items() if lines > LONGEST_MODULE]
    assert not long, "\n".join(long)


def test_no_folder_has_too_many_modules() -> None:
    """The models in servers/ are exempt: adding a model is adding a file there."""
    sizes = Counter(
        module.parent
        for module in modules("study", "cluster", "analysis", "servers/core", "servers/references")
        if module.stem not in ENTRY_MODULES
    )
    large = [f"{folder}: {size} modules" for folder, size in sizes.items() if size > LARGEST_FOLDER]
    assert not large, "\n".join(large)


def test_only_fabfile_lies_outside_the_packages() -> None:
    assert [path.name for path in PROJECT.glob("*.py")] == ["fabfile.py"]


def test_no_program_imports_tests() -> None:
    """Benchmarks may: they run on the same synthetic campaigns and simulations as the tests."""
    importing = {
        str(module)
        for module in [*modules(*PACKAGES), Path("fabfile.py")]
        for node in ast.walk(tree(module))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tests")
        or (isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == "tests" for alias in node.names))
    }
    assert importing == set()


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.name}: {link}")
    assert not broken, "\n".join(broken)


def test_what_other_programs_print_is_decoded_whatever_it_holds() -> None:
    """A server's log, a name in Latin-1: `text=True` alone raises UnicodeDecodeError."""
    strict = [
        f"{module}:{node.lineno}"
        for module in modules("cluster", "study", "analysis")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and any(keyword.arg in ("text", "encoding", "universal_newlines") for keyword in node.keywords)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in {("subprocess", name) for name in ("run", "Popen", "check_output")}
        and "errors" not in {keyword.arg for keyword in node.keywords}
        and module.parts[:2] != ("cluster", "lab")  # whose programs are its own
    ]
    assert not strict, "\n".join(strict)


def test_make_installs_nothing_without_its_hash() -> None:
    lines = (PROJECT / "Makefile").read_text(encoding="utf-8").splitlines()
    installs = [line for line in lines if line.startswith("\t") and "pip install" in line]
    assert len(installs) == 2
    assert all("--require-hashes -r requirements" in line for line in installs), installs


def test_nothing_depends_on_the_filters_of_tarfile() -> None:
    """Debian 12's Python 3.11.2 has none, and 3.11.7's own let links through (CVE-2025-4517)."""
    using = [
        f"{module}:{node.lineno}"
        for module in [*modules(*PACKAGES), Path("fabfile.py")]
        for node in ast.walk(tree(module))
        if (isinstance(node, ast.Attribute) and node.attr in ("extractall", "extract", "extraction_filter"))
        or (isinstance(node, ast.Attribute) and node.attr in ("data_filter", "tar_filter", "fully_trusted_filter"))
    ]
    assert not using, "\n".join(using)
