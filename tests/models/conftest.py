"""Every registered model, and a factory of servers that ends each one with its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from servers.core.model import load, names
from tests.models.serving import Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", names())


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Start a model with options; skipped where what it needs isn't installed."""
    running: list[Server] = []

    def begin(model: str, *options: str, nofile: int | None = None) -> Server:
        if missing := load(model).MODEL.missing():
            pytest.skip(f"{model} needs {', '.join(missing)}")
        running.append(Server(model, *options, nofile=nofile))
        return running[-1]

    yield begin
    for server in running:
        server.kill()


@pytest.fixture
def served(model: str, start: Callable[..., Server]) -> Server:
    """The model with the defaults, but a short timeout."""
    return start(model, "--timeout", "1")
