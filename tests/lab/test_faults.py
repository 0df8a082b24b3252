"""What goes wrong in the middle of a step, on real hosts: it is told, and no process and no port is left anywhere."""

from __future__ import annotations

import json
import os
import signal

import pandas as pd
import pytest

from cluster.hosts.host import STATE
from cluster.lab.machines import CONTROL, LOAD, TARGET
from tests.lab.control import Control, ended, measuring
from tests.running import until


def sealed(control: Control, label: str = "thread") -> dict[str, object]:
    path = control.directory / "results" / "latest" / "runs" / f"1-{label}" / "run.json"
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def loaded_steps(control: Control) -> pd.DataFrame:
    """The rows of steps.csv without the idle step, which is measured before anything goes wrong."""
    steps = pd.read_csv(control.directory / "results" / "latest" / "steps.csv")
    return steps[steps["kind"] == "ladder"]


def pid_of(control: Control, host: str, name: str) -> int:
    """PID of one of the study's processes on a host."""
    where = STATE / host if host == CONTROL else control.lab.home(host) / ".load-study" / host
    return int(json.loads((where / "processes" / f"{name}.json").read_text(encoding="utf-8"))["pid"])


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("host", "name", "reason"),
    [(TARGET, "server", "the server thread ended"), (CONTROL, "master", "Locust's master ended early")],
)
def test_a_killed_server_or_master_fails_the_run(deployed: Control, host: str, name: str, reason: str) -> None:
    deployed.ask()
    with measuring(deployed) as process:
        os.kill(pid_of(deployed, host, name), signal.SIGKILL)
        status, said = ended(process)
    assert status == 1, said
    assert sealed(deployed)["state"] == "failed"
    assert reason in str(sealed(deployed)["reason"])
    assert deployed.left() == {}


@pytest.mark.timeout(200)
def test_a_campaign_without_tunnels(deployed: Control) -> None:
    """transport=direct: the workers connect to the one address that the master binds."""
    deployed.ask()
    with deployed.inventory.open("a", encoding="utf-8") as file:
        address = deployed.lab.network.address(CONTROL)
        file.write(f"\n[all:vars]\ntransport=direct\ncontrol_address={address}\n")
    checked = deployed.fab("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "tunnel" not in checked.stdout
    done = deployed.fab("run-campaign")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sealed(deployed)["state"] == "done"
    assert not list((deployed.campaign / "runs").glob("*/logs/tunnel-*"))
    assert set(loaded_steps(deployed)["verdict"]) == {"valid"}
    assert deployed.left() == {}


@pytest.mark.timeout(200)
def test_a_killed_worker_is_told(deployed: Control) -> None:
    deployed.ask()
    with measuring(deployed) as process:
        os.kill(pid_of(deployed, LOAD[0], f"{LOAD[0]}-1"), signal.SIGKILL)
        ended(process)
    steps = loaded_steps(deployed)
    assert set(steps["verdict"]) <= {"worker-lost", "not-measured"} or sealed(deployed)["attempt"] == 2
    assert deployed.left() == {}


@pytest.mark.timeout(200)
def test_a_slow_network_shows_in_the_response_times(deployed: Control) -> None:
    deployed.ask()
    deployed.lab.network.slow(TARGET, delay_s=0.05, loss=0.01)
    with measuring(deployed) as process:
        status, said = ended(process)
    assert status in (0, 3), said
    (step,) = loaded_steps(deployed).to_dict("records")
    assert step["requests"] > 0
    assert step["mean_ms"] > 50 + 2 * 50  # the server's wait, the way back of the handshake, that of the answer
    assert deployed.left() == {}


@pytest.mark.timeout(400)
def test_a_load_host_cut_off_in_a_step_is_done_without(deployed: Control) -> None:
    deployed.ask(measure=30)
    with measuring(deployed) as process:
        deployed.lab.network.cut(LOAD[0])
        status, said = ended(process, 200)
    assert status in (0, 3), said
    assert "worker-lost" in said, said
    assert f"{LOAD[0]} can't be reached: on with {LOAD[1]}" in said
    run = sealed(deployed)
    assert (run["state"], run["attempt"], run["load"], run["without"]) == ("done", 2, [LOAD[1]], [LOAD[0]]), said
    steps = loaded_steps(deployed)
    assert steps["requests"].gt(0).all()
    # There the leases end what ran, and sshd gives up the tunnel.
    until(lambda: deployed.left() == {}, 40, "the lost host's own end of what ran and listened there")
