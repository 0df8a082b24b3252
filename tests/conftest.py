"""How the tests are run: which are `quick`, and which share a process where several processes run them.

Both follow from a test's folder, but for the short lists here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent

NOT_QUICK = {
    "test_compare.py", "test_deploy.py", "test_figures.py", "test_hosts.py", "test_summary.py", "test_supervise.py",
}  # fmt: skip
"""Files of tests/unit that take more than five seconds of CPU time or of waiting."""
QUICK_MODELS = {"thread", "epoll-loop"}
"""One model that blocks and one that waits for events: `quick` runs the conformance suite for these."""
CAMPAIGN_S = 400
"""A test may wait for the campaign that it reads, and for one that is run before."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if is_quick(item, folder):
            item.add_marker(pytest.mark.quick)
        if folder == "local":  # one checkout runs one campaign at a time
            item.add_marker(pytest.mark.xdist_group("campaigns"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(CAMPAIGN_S))
        elif folder != "models":  # the fixtures of a file are made once
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(TESTS))))


def is_quick(item: pytest.Item, folder: str) -> bool:
    """Whether `make test-quick` runs it, by its folder, its file and its model; a slow test never is."""
    if item.get_closest_marker("slow") is not None:
        return False
    if folder == "models":
        return hasattr(item, "callspec") and item.callspec.params.get("model") in QUICK_MODELS
    return folder == "unit" and item.path.name not in NOT_QUICK
