"""Servers that run already, in real campaigns: found, allowed, checked, loaded, and left as they are."""

from __future__ import annotations

import contextlib
import csv
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, Certificate
from tests.running import PROJECT, fab, free_ports, until, write_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@contextlib.contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server that no campaign has started, and its port."""
    (port,) = free_ports(1)
    argv = [sys.executable, *words, "--port", str(port)]
    with subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            until(lambda: accepts(port), 20, "the server accepts")
            yield process, port
        finally:
            process.kill()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def plan_for(directory: Path, url: str, more: str = "") -> Path:
    plan = write_plan(directory, models=("mine",), users=(10,), think=(0, 0), settle=0.5, measure=2)
    table = f'[[servers]]\nname = "mine"\nurl = "{url}"\n{more}'
    plan.write_text(plan.read_text(encoding="utf-8") + table, encoding="utf-8")
    return plan


def step_of(directory: Path) -> dict[str, str]:
    with (directory / "results" / "latest" / "steps.csv").open(encoding="utf-8", newline="") as rows:
        return next(row for row in csv.DictReader(rows) if row["kind"] == "ladder")


def test_it_is_sampled_on_the_target_and_left_running(tmp_path: Path) -> None:
    with serving("-m", "servers", "epoll-loop") as (process, port):
        plan = plan_for(tmp_path, f"http://localhost:{port}", 'expect = {contains = "Host: localhost"}\n')
        done = fab(tmp_path, "run-campaign", "--plan", str(plan))
        assert process.poll() is None
        assert done.returncode in (0, 3), done.stderr
    assert f"mine: http://localhost:{port} is 127.0.0.1" in done.stdout or "is [::1], 127.0.0.1" in done.stdout
    step = step_of(tmp_path)
    assert int(step["requests"]) > 100
    assert step["failures"] == "0"
    assert float(step["server_cpu_cores"]) > 0


def test_a_host_outside_of_the_inventory_is_allowed_by_name_or_not_loaded(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, "http://192.0.2.7:80")
    done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode == 2
    assert "mine: http://192.0.2.7:80 is 192.0.2.7" in done.stdout
    assert "(192.0.2.7) is no host of the inventory; where you may load it, `--allow-host 192.0.2.7`" in done.stderr
    assert not (tmp_path / "results").exists()


TLS_SERVER = "tests.local.tls_server"


def tls_words(certificate: Certificate) -> tuple[str, ...]:
    return ("-m", TLS_SERVER, str(certificate.file), str(certificate.key))


def test_https_is_checked_before_anything_is_started(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serving(*tls_words(authority.certificate("old", days=-1))) as (_, port):
        url = f"https://127.0.0.1:{port}"
        done = fab(tmp_path, "run-campaign", "--plan", str(plan_for(tmp_path, url, 'ca = "ca.pem"\n')))
        assert done.returncode == 2
        assert "its certificate is refused: certificate has expired" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "results").exists()
        done = fab(tmp_path, "run-campaign", "--plan", str(plan_for(tmp_path, url, "verify = false\n")))
        assert done.returncode in (0, 3), done.stderr
    report = (tmp_path / "results" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "certificate was not checked" in report


LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, constant, task

class Fast(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def post(self):
        self.client.post("/fast", data="id=1")

class Slow(HttpUser):
    wait_time = constant(0.05)

    @task
    def post(self):
        self.client.post("/slow", data="id=1")
"""


@pytest.mark.parametrize(("trust", "failures"), [('ca = "ca.pem"', False), ("verify = false", False), ("", True)])
def test_a_locustfile_checks_the_certificate_as_the_plan_says(tmp_path: Path, trust: str, failures: bool) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "own.py").write_text(LOCUSTFILE, encoding="utf-8")
    with serving(*tls_words(authority.certificate("good"))) as (_, port):
        plan = plan_for(tmp_path, f"https://127.0.0.1:{port}", trust)
        kept = [
            line for line in plan.read_text(encoding="utf-8").splitlines() if not line.startswith(("client", "think"))
        ]
        plan.write_text('locustfile = "own.py"\n' + "\n".join(kept), encoding="utf-8")
        done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    if failures:
        assert done.returncode == 2
        assert "its certificate is refused: unable to get local issuer certificate" in done.stderr
        return
    assert done.returncode in (0, 3), done.stdout + done.stderr
    with (tmp_path / "results" / "latest" / "requests.csv").open(encoding="utf-8", newline="") as rows:
        named = {row["name"]: row for row in csv.DictReader(rows) if int(row["step"]) > 0}
    assert {name: row["failures"] for name, row in named.items()} == {"/fast": "0", "/slow": "0"}


@pytest.mark.parametrize("client", ["lean", "fast", "http"])
def test_https_with_each_client(tmp_path: Path, client: str) -> None:
    authority = Authority(tmp_path)
    with serving(*tls_words(authority.certificate("good"))) as (_, port):
        request = '[request]\nmethod = "POST"\nbody = "id=1"\nexpect = {status = 201, body = "id=1"}\n'
        plan = plan_for(tmp_path, f"https://127.0.0.1:{port}", 'ca = "ca.pem"\n' + request)
        text = plan.read_text(encoding="utf-8").replace('client = "lean"', f'client = "{client}"')
        plan.write_text(text, encoding="utf-8")
        done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode in (0, 3), done.stderr
    step = step_of(tmp_path)
    assert int(step["requests"]) > 20
    assert json.loads(step["failure_kinds"] or "{}") == {}, step
    assert (float(step["connect_ms"] or 0) > 0) == (client == "lean")
