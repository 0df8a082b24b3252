"""What an analysis may cost, held by the benchmark that measures it."""

import pytest

from benchmarks.analysis import main


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_large_campaigns_are_analysed_within_time_and_memory(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, "".join(capfd.readouterr())
