"""A campaign over a real sshd with a Python without tarfile's filters, on the hosts and on control: Debian 12's 3.11.2.

Control has that interpreter with the packages of the one that runs the tests, which has the same minor version.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import sshd
from tests.running import PROJECT, environment, listening, ours, write_plan
from tests.sshd import Sshd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

PYTHON = "/usr/bin/python3"
HAS_NO_FILTER = "import sys, tarfile; sys.exit(sys.version_info[:2] != (3, 11) or hasattr(tarfile, 'data_filter'))"
FAB = "from fabric.main import program; program.run()"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Sshd]:
    if sshd.missing() and not os.environ.get("CI"):
        pytest.skip("needs openssh-server and openssh-client")
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", HAS_NO_FILTER], check=False).returncode:
        pytest.skip(f"{PYTHON} is no Python 3.11 without tarfile's filters, such as Debian 12's")
    with Sshd(tmp_path / "sshd") as running:
        yield running


def test_deploy_and_campaign_with_a_python_without_tarfile_filters(there: Sshd, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, models=("thread",), users=(20,), think=(0, 0), measure=2)
    line = "{} ansible_host=127.0.0.1 cpus={}\n"
    (tmp_path / "ssh.ini").write_text(
        f"[target]\n{line.format('target', min(os.sched_getaffinity(0)))}"
        f"[load]\n{line.format('load1', max(os.sched_getaffinity(0)))}"
        f"[all:vars]\nansible_port={there.port}\nansible_ssh_private_key_file={there.directory}/user_key\n"
        f"ansible_python_interpreter={PYTHON}\nremote_dir={there.directory}/remote\n",
        encoding="utf-8",
    )
    own = {"PYTHONPATH": f"{PROJECT}:{sysconfig.get_path('purelib')}", "HOME": str(there.home)}
    fab = [PYTHON, "-c", FAB, "--search-root", str(PROJECT), "deploy", "--offline", "run-campaign"]
    try:
        done = subprocess.run(
            [*fab, "--inventory", "ssh.ini", "--plan", str(plan)],
            cwd=tmp_path, env=environment(**own), capture_output=True, text=True, timeout=450, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode in (0, 3), said  # 3: no step was valid, which a busy machine may cause
        assert "Traceback" not in said
        (run,) = (tmp_path / "results" / "latest" / "runs").iterdir()
        assert json.loads((run / "run.json").read_text(encoding="utf-8"))["state"] == "done"
        assert (run / "samples-load1.csv").is_file()
        assert (run / "logs" / "load1-1.log").is_file()
        assert ours(tmp_path) == []
        assert listening(tmp_path) == []
        (env,) = (there.directory / "remote" / "target" / "env").iterdir()
        version = subprocess.run([env / "bin" / "python", "-c", HAS_NO_FILTER], check=False)
        assert version.returncode == 0
    finally:
        subprocess.run(
            [*fab[:-3], "stop", "--inventory", "ssh.ini"], cwd=tmp_path, env=environment(**own), check=False, timeout=90
        )
