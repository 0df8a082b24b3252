"""The lab as a fixture: made once a session, taken down whatever happens, mended after each test."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.deploy.wheels import Platform, download
from cluster.lab.machines import Lab, missing
from tests.lab.control import Control


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    """Skipped where it can't be made, but not in CI: there a skipped lab is a failure."""
    if lacks := missing():
        if os.environ.get("CI"):
            pytest.fail(lacks)
        pytest.skip(lacks)
    with Lab(str(os.getpid())) as made:
        yield made


@pytest.fixture
def lab(session_lab: Lab) -> Iterator[Lab]:
    """The lab, whole again after the test."""
    yield session_lab
    session_lab.network.mend()


@pytest.fixture
def control(lab: Lab, tmp_path: Path) -> Control:
    """The lab's control machine, with a working directory of the test's own, an inventory and a short plan in it."""
    return Control(lab, tmp_path)


@pytest.fixture(scope="session")
def wheels() -> None:
    """What `fab deploy --offline` needs, fetched while there is a way out: control in the lab has none."""
    download(Platform.of(platform.machine(), platform.libc_ver(), platform.python_version()))


@pytest.fixture
def deployed(control: Control, wheels: None) -> Control:
    """Control with this code on all hosts: what an earlier test deployed stays."""
    done = control.fab("deploy", "--offline", timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return control
