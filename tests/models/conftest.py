"""Parametrises tests over every registered model, and starts servers that are killed after their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from servers.core.model import load, names
from tests.models.serving import ServerProcess, balanced


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model" in metafunc.fixturenames:
        metafunc.parametrize("model", names(), scope="module")


def started(model: str, *options: str, nofile: int | None = None) -> ServerProcess:
    """Start a model. Skips the test where one of the model's needs isn't installed."""
    if missing := load(model).MODEL.missing():
        pytest.skip(f"{model} needs {', '.join(missing)}")
    return ServerProcess(model, *options, nofile=nofile)


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., ServerProcess]]:
    """A function that starts a model with options. What it has started is killed after the test."""
    servers: list[ServerProcess] = []

    def start_server(model: str, *options: str, nofile: int | None = None) -> ServerProcess:
        servers.append(started(model, *options, nofile=nofile))
        return servers[-1]

    yield start_server
    for server in servers:
        server.kill()


@pytest.fixture
def served(model: str, start: Callable[..., ServerProcess]) -> ServerProcess:
    """The model with default options except for a short timeout."""
    return start(model, "--timeout", "1")


@pytest.fixture(scope="module")
def shared(model: str) -> Iterator[ServerProcess]:
    """As `served`, for all tests of a file that ask it something and leave it running."""
    server = started(model, "--timeout", "1")
    try:
        yield server
        assert balanced(server.stop())
    finally:
        server.kill()
