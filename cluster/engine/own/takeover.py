"""What in a locustfile takes over the run, found in its source: the study chooses the users, and ends the run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

RUNNER_CALLS = ("quit", "start", "stop", "start_shape", "spawn_users", "stop_users")
MAKES_RUNNER = ("create_local_runner", "create_master_runner", "create_worker_runner")
ENVIRONMENT_PARTS = ("runner", "shape_class", "user_classes", "dispatcher_class", "host")
ENVIRONMENTS = ("environment", "env")


def takeovers(source: str, name: str) -> list[str]:
    """One line for each place of a source file that would end, start or replace the run. Raises SyntaxError."""
    return [
        f"{name}, line {line}: {what} takes over the run: the plan chooses the users, and the study ends the run"
        for line, what in _found(ast.parse(source, name), "")
    ]


def _found(node: ast.AST, function: str) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = f" in {node.name}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        call, of = node.func.attr, _last_name(node.func.value)
        if (call in RUNNER_CALLS and of == "runner") or call in MAKES_RUNNER:
            yield node.lineno, f"{ast.unparse(node.func)}(){function}"
    if isinstance(node, ast.Raise) and node.exc is not None:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if _last_name(raised) == "StopTest":
            yield node.lineno, f"raise StopTest{function}"
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            is_part = isinstance(target, ast.Attribute) and target.attr in ENVIRONMENT_PARTS
            if isinstance(target, ast.Attribute) and is_part and _last_name(target.value) in ENVIRONMENTS:
                yield node.lineno, f"{ast.unparse(target)} = ...{function}"
    for child in ast.iter_child_nodes(node):
        yield from _found(child, function)


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
