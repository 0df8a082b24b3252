"""fab interrupted or killed while the second run is measured: the finished run is kept, and no process is left."""

import pytest

from tests.local.interrupted import Abandoned, Resumed, Stopped, finished


def nothing_runs_and_the_first_run_is_analysed(stopped: Stopped) -> None:
    assert stopped.status == 130, stopped.output
    assert "Traceback" not in stopped.output
    assert stopped.output.count("fab: stopping ...") == 1
    assert not stopped.left
    assert not stopped.ports
    (label,) = stopped.finished
    (measured,) = [line for line in stopped.steps if f",{label}," in line and ",ladder," in line]
    assert "not-measured" not in measured


def test_an_interrupt_leaves_nothing_running_and_the_first_run_analysed(interrupted: Stopped) -> None:
    nothing_runs_and_the_first_run_is_analysed(interrupted)


@pytest.mark.slow
def test_a_termination_leaves_nothing_running_and_the_first_run_analysed(terminated: Stopped) -> None:
    nothing_runs_and_the_first_run_is_analysed(terminated)


@pytest.mark.slow
def test_after_a_kill_everything_ends_by_itself(abandoned: Abandoned) -> None:
    assert len(abandoned.finished) == 1


@pytest.mark.slow
def test_after_a_kill_fab_stop_ends_what_is_left_and_the_next_fab_goes_on(resumed: Resumed) -> None:
    assert "running" in resumed.status
    assert "server" in resumed.stopped
    assert not resumed.left
    assert not resumed.ports
    assert len(resumed.sealed) == 1
    assert resumed.last.returncode in (0, 3), resumed.last.stdout + resumed.last.stderr
    assert "going on with" in resumed.last.stdout
    assert all(path.read_bytes() == content for path, content in resumed.sealed.items())
    assert len(finished(resumed.campaign)) == 2
