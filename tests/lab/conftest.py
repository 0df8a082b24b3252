"""The lab as a fixture: made once a session, taken down whatever happens, mended after each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab.machines import Lab, missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def network_lab() -> Iterator[Lab]:
    """Skipped where it can't be made, but not in CI: there a skipped lab is a failure."""
    if lacks := missing():
        if os.environ.get("CI"):
            pytest.fail(lacks)
        pytest.skip(lacks)
    with Lab(str(os.getpid())) as made:
        yield made


@pytest.fixture
def lab(network_lab: Lab) -> Iterator[Lab]:
    """The lab, whole again after the test."""
    yield network_lab
    network_lab.network.mend()
