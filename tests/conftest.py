"""How the tests are run: which are `quick`, and which share a process where several processes run them.

Both follow from a test's folder, but for the short lists here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent

settings.register_profile("study", deadline=None)  # how long an example takes decides no test
settings.load_profile("study")

NOT_QUICK = {
    "analysis": (
        "test_compare.py", "test_damage.py", "test_figures.py", "test_findings.py", "test_law_error.py",
        "test_locust_versions.py", "test_packs.py", "test_reading.py", "test_report_page.py", "test_stats.py",
        "test_summary.py",
    ),
    "hosts": (
        "test_background.py", "test_deploy.py", "test_hosts.py", "test_inventory_ansible.py", "test_inventory_fuzz.py",
        "test_supervise.py",
    ),
    "study": ("test_plan_fuzz.py", "test_python_api.py"),
}  # fmt: skip
"""Files of tests/unit, by folder, that take more than four seconds."""
QUICK_MODELS = {"thread", "epoll-loop"}
"""One model that blocks and one that waits for events: `quick` runs the conformance suite for these."""
LIKE_CAMPAIGNS = ("tests/unit/campaign/test_prepare.py", "tests/unit/hosts/test_login.py")
"""Files whose tests make what looks like a campaign on this machine, beside which `fab analyze` is refused."""
CAMPAIGN_S = 400
"""A test may wait for the campaign that it reads, and for one that is run before."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if is_quick(item, folder):
            item.add_marker(pytest.mark.quick)
        if folder == "local" and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CAMPAIGN_S))


def is_quick(item: pytest.Item, folder: str) -> bool:
    """Whether `make test-quick` runs it, by its folder, its file and its model; a slow test never is."""
    if item.get_closest_marker("slow") is not None:
        return False
    if folder == "models":
        return hasattr(item, "callspec") and item.callspec.params.get("model") in QUICK_MODELS
    return folder == "unit" and item.path.name not in NOT_QUICK.get(item.path.parent.name, ())


class ByFolder(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Tests of one scope run in one process, one after another."""

    def _split_scope(self, nodeid: str) -> str:
        """The scope of a test: all campaigns together, those that share a model's server, other conformance tests each
        by itself, of the rest each file.
        """
        file = nodeid.partition("::")[0]
        if file.startswith("tests/local/") or file in LIKE_CAMPAIGNS:
            return "tests/local"  # one checkout runs one campaign at a time
        if file == "tests/models/test_answers.py":
            return file + nodeid.partition("[")[2]  # the model
        return nodeid if file.startswith("tests/models/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    """Hand the scopes out in the order of `testpaths`: campaigns take longest, and begin first."""
    config.option.loadscopereorder = False
    return ByFolder(config, log)
