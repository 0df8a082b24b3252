"""Pools of k threads that each wait 20 ms: the capacity found is the simulated closed system's, the rate k / wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pools import OFF_RATE, OFF_USERS, measured


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pool_carries_what_the_closed_system_carries_and_answers_k_by_the_wait(tmp_path: Path) -> None:
    """With twice the margin of `python -m benchmarks.pools`, since other programs may take the server's core.

    Two of its pools: that of two threads answers little, and takes as long.
    """
    found = measured(tmp_path, pools=(4, 8))
    assert [pool.threads for pool in found] == [4, 8]
    for pool in found:
        assert pool.users_agree(2 * OFF_USERS), pool
        assert pool.rate_agrees(2 * OFF_RATE), pool
