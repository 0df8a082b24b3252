"""fab deploy to hosts that reach no package index: whole, only what is missing, at once, and repaired where damaged.

The tests of this file go on from one another.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from cluster.lab.machines import CONTROL, LOAD, TARGET
from tests.lab.control import Control

ALL = (TARGET, *LOAD)


def sent(control: Control) -> int:
    """Bytes that control has sent to other hosts."""
    counter = control.lab.run(CONTROL, "cat", "/sys/class/net/eth0/statistics/tx_bytes")
    return int(counter.stdout)


def files(control: Control, host: str) -> list[Path]:
    return sorted(control.lab.home(host).rglob("*"))


def test_hosts_without_the_code_are_named_before_a_campaign_begins(control: Control) -> None:
    assert control.fab("clean").returncode == 0
    done = control.fab("run-campaign")
    assert done.returncode == 1
    assert "`fab deploy` first" in done.stderr
    assert all(host in done.stderr for host in ALL)
    assert not (control.directory / "results").exists()


def test_an_index_that_cannot_be_reached_is_named_with_the_way_out(control: Control) -> None:
    done = control.fab("deploy", timeout=110)
    assert done.returncode == 1
    assert all(re.search(rf"{host}: the package index can't be reached", done.stderr) for host in ALL)
    assert "fab deploy --offline" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_wheels_from_control_make_every_host_whole(control: Control, wheels: None) -> None:
    before = sent(control)
    done = control.fab("deploy", "--offline", timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(re.search(rf"{host}: .*environment deployed", done.stdout) for host in ALL)
    assert sent(control) - before > 10e6  # the wheels, three times


def test_a_second_deploy_sends_nothing_and_takes_no_time(control: Control) -> None:
    before, began = sent(control), time.monotonic()
    done = control.fab("deploy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nothing to copy") == len(ALL)
    assert sent(control) - before < 200e3  # questions and answers
    assert time.monotonic() - began < 10  # two seconds on an idle machine, of which one is Python's own


def test_one_file_gone_on_one_host_is_put_back_there_and_only_there(control: Control) -> None:
    for what in ("cluster/remote/sampler.py", "gevent/__init__.py"):
        (gone,) = [path for path in files(control, LOAD[0]) if str(path).endswith(what)]
        gone.unlink()
        refused = control.fab("run-campaign")
        assert refused.returncode == 1
        assert LOAD[0] in refused.stderr
        done = control.fab("deploy", "--offline", timeout=110)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("nothing to copy") == 2
        assert re.search(rf"{LOAD[0]}: .*deployed", done.stdout)
        assert gone.exists()
    assert control.left() == {}
