"""Parametrises tests over every registered model, and starts servers that are killed after their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from servers.core.model import load, names
from tests.models.serving import ServerProcess


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", names())


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., ServerProcess]]:
    """A function that starts a model with options. Skips the test where one of the model's needs isn't installed."""
    started: list[ServerProcess] = []

    def start_server(model: str, *options: str, nofile: int | None = None) -> ServerProcess:
        if missing := load(model).MODEL.missing():
            pytest.skip(f"{model} needs {', '.join(missing)}")
        started.append(ServerProcess(model, *options, nofile=nofile))
        return started[-1]

    yield start_server
    for server in started:
        server.kill()


@pytest.fixture
def served(model: str, start: Callable[..., ServerProcess]) -> ServerProcess:
    """The model with default options except for a short timeout."""
    return start(model, "--timeout", "1")
