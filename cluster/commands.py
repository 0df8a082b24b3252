"""The commands that a run is made of, as argument lists: pure functions of what was asked, quoted by nobody here."""

from __future__ import annotations

from pathlib import Path

from cluster.hosts import PROJECT
from cluster.inventory import HostEntry
from cluster.layout import RunFiles
from cluster.plan import Plan, Server

LOCUSTFILE = PROJECT / "cluster" / "engine" / "locustfile.py"
USER_CLASSES = {"lean": "LeanUser", "fast": "FastQuickstartUser", "http": "QuickstartUser"}
CONNECT_WAIT_S = 60


def server(python: str, plan: Plan, of: Server, target: HostEntry) -> tuple[str, ...]:
    """One model, listening on the one address that the inventory names."""
    work = of.work
    size = () if work.bytes is None else ("--bytes", str(work.bytes))
    return (
        *(python, "-m", "servers", of.model, "--host", target.address, "--port", str(plan.port)),
        *("--connection", plan.connection, "--cpu-ms", str(work.cpu_ms), "--wait-ms", str(work.wait_ms), *size),
    )


def probe(python: str, plan: Plan, of: Server, target: HostEntry) -> tuple[str, ...]:
    """One request and a look at its answer, from where the load will come."""
    size = () if of.work.bytes is None else ("--bytes", str(of.work.bytes))
    where = ("--host", target.address, "--port", str(plan.port), "--connection", plan.connection)
    return (python, "-m", "cluster.probe", *where, "--timeout", str(plan.timeout), *size)


def master(
    python: str, plan_file: Path, plan: Plan, of: Server, target: HostEntry, run: Path, workers: tuple[str, ...]
) -> tuple[str, ...]:
    """Locust's master. It binds loopback alone: its messages are not authenticated."""
    return (
        *_locust(python, plan_file, plan, of, target),
        *("--headless", "--only-summary", "--master", "--master-bind-host", "127.0.0.1"),
        *("--master-bind-port", str(plan.master_port), "--expect-workers", str(len(workers))),
        *("--expect-workers-max-wait", str(CONNECT_WAIT_S), "--stop-timeout", f"{plan.timeout + 1:g}"),
        *("--csv", str(RunFiles(run).locust_prefix), "--study-run", str(run), "--study-workers", ",".join(workers)),
    )


def worker(python: str, plan_file: Path, plan: Plan, of: Server, target: HostEntry, name: str) -> tuple[str, ...]:
    """One of Locust's workers, under its name in the ledger."""
    where = ("--worker", "--master-host", "127.0.0.1", "--master-port", str(plan.master_port))
    return (*_locust(python, plan_file, plan, of, target), *where, "--study-worker", name)


def sampler(
    python: str, plan: Plan, host: str, out: Path, server: str | None, workers: tuple[str, ...]
) -> tuple[str, ...]:
    """The sampler of one host. `server` and `workers` are PID:NAME."""
    watched = ("--server", server) if server else ()
    each = [word for worker in workers for word in ("--worker", worker)]
    where = ("--host", host, "--port", str(plan.port), "--out", str(out))
    return (python, "-m", "cluster.sampler", *where, *watched, *each)


def _locust(python: str, plan_file: Path, plan: Plan, of: Server, target: HostEntry) -> tuple[str, ...]:
    # The master needs --host as well: it sends its own to the workers.
    address = ("--host", f"http://{target.address}:{plan.port}")
    study = ("--study-plan", str(plan_file), "--study-server", of.name)
    return (python, "-m", "locust", "-f", str(LOCUSTFILE), USER_CLASSES[plan.client], *address, *study)
