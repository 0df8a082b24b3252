"""A pool of k threads that each wait 20 ms: the capacity found is the simulated closed system's, the rate k / wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pools import OFF_RATE, OFF_USERS, measured


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_a_pool_carries_what_the_closed_system_carries_and_answers_k_by_the_wait(tmp_path: Path) -> None:
    """With twice the margin of `python -m benchmarks.pools`, since other programs may take the server's core.

    Its largest pool, of which the margin is the fewest users.
    """
    (pool,) = measured(tmp_path, pools=(8,))
    assert pool.threads == 8
    assert pool.users_agree(2 * OFF_USERS), pool
    assert pool.rate_agrees(2 * OFF_RATE), pool
