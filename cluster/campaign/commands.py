"""The commands that a run is made of, as argument lists: pure functions of what was asked, quoted by nobody here."""

from __future__ import annotations

from pathlib import Path

from cluster.hosts.inventory import LOOPBACK, HostEntry
from servers.core.runner import BACKLOG, TIMEOUT_S
from study.layout import RunFiles
from study.models import needs
from study.plan import Plan
from study.workload import Server

LOCUSTFILE = "cluster/engine/locustfile.py"  # from where the code is, which is where every host runs commands
USER_CLASSES = {"lean": "LeanUser", "fast": "FastQuickstartUser", "http": "QuickstartUser"}
CONNECT_WAIT_S = 60
BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")  # another one after each start of a machine


def server(python: str, plan: Plan, of: Server, target: HostEntry, cores: int, scratch: Path) -> tuple[str, ...]:
    """One server, listening on the one address that the inventory names, with so many cores to run on."""
    if of.command is not None:
        values = {"host": target.address, "port": plan.port, "cores": cores, "python": python, "scratch": scratch}
        return (python, "-m", "cluster.remote.exec", *of.argv({name: str(value) for name, value in values.items()}))
    assert of.model is not None
    assert of.work is not None
    size: tuple[str, ...] = () if of.work.bytes is None else ("--bytes", str(of.work.bytes))
    own = [word for name, value in of.options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return (
        *(python, "-m", "servers", of.model, "--host", target.address, "--port", str(plan.port)),
        *("--connection", "keep-alive" if keeps(plan) else "close"),
        *("--cpu-ms", str(of.work.cpu_ms), "--wait-ms", str(of.work.wait_ms), *size, *own),
    )


def keeps(plan: Plan) -> bool:
    """Whether the server leaves connections open to those who want that: the users, or idle ones beside them."""
    return plan.connection == "keep-alive" or plan.idle_connections > 0


def requires(of: Server) -> tuple[str, ...]:
    """Programs and modules that the server needs on the target."""
    return of.requires if of.model is None else needs(of.model)


def missing(python: str, needed: tuple[str, ...]) -> tuple[str, ...]:
    """Which of those aren't on the host, as JSON."""
    return (python, "-m", "cluster.remote.exec", "--missing", *needed)


def probe(python: str, plan: Plan, of: Server, target: HostEntry, ready_s: float) -> tuple[str, ...]:
    """One request and a look at its answer, from where the load will come. A command is first waited for."""
    where = ("--host", target.address, "--port", str(plan.port), "--connection", plan.connection)
    asked = ("--method", of.method, "--path", of.path, "--status", str(of.status), "--timeout", str(plan.timeout))
    wait = () if of.command is None else ("--wait", str(ready_s), *(("--ready", of.ready) if of.ready else ()))
    body: tuple[str, ...] = ("--echo",) if of.echoes else ()
    if of.body is not None:
        body = ("--bytes", str(len(of.body))) if of.command is None else ("--body", of.body.decode())
    return (python, "-m", "cluster.remote.probe", *where, *asked, *wait, *body)


def bystanders(python: str, plan: Plan, of: Server, target: HostEntry, out: Path) -> tuple[str, ...]:
    """The clients beside the load, on one load host."""
    where = ("--host", target.address, "--port", str(plan.port), "--timeout", str(plan.timeout), "--out", str(out))
    asked = ("--method", of.method, "--path", of.path, "--status", str(of.status))
    many = ("--keep-alive", str(TIMEOUT_S), "--idle", str(plan.idle_connections), "--slow", str(plan.slow_clients))
    return (python, "-m", "cluster.remote.background", *where, *asked, *many)


def opened(python: str) -> tuple[str, ...]:
    """The target's kernel counters, where they stand in for a server's own counts."""
    return (python, "-m", "cluster.remote.kernel")


def master(
    python: str,
    plan_file: Path,
    plan: Plan,
    of: Server,
    target: HostEntry,
    run: Path,
    workers: tuple[str, ...],
    address: str = LOOPBACK,
) -> tuple[str, ...]:
    """Locust's master. It binds loopback, or the one address that the inventory names: nobody is asked who they are."""
    return (
        *_locust(python, plan_file, plan, of, target),
        *("--headless", "--only-summary", "--master", "--master-bind-host", address),
        *("--master-bind-port", str(plan.master_port), "--expect-workers", str(len(workers))),
        *("--expect-workers-max-wait", str(CONNECT_WAIT_S), "--stop-timeout", f"{plan.timeout + 1:g}"),
        *("--csv", str(RunFiles(run).locust_prefix), "--study-run", str(run), "--study-workers", ",".join(workers)),
    )


def worker(
    python: str,
    plan_file: Path,
    plan: Plan,
    of: Server,
    target: HostEntry,
    name: str,
    master: tuple[str, int] | None = None,
) -> tuple[str, ...]:
    """One of Locust's workers, under its name in the ledger. `master` is where it finds it, if not on loopback here."""
    address, port = master or (LOOPBACK, plan.master_port)
    where = ("--worker", "--master-host", address, "--master-port", str(port))
    return (*_locust(python, plan_file, plan, of, target), *where, "--study-worker", name)


def sampler(
    python: str, plan: Plan, of: Server, host: str, out: Path, server: str | None, workers: tuple[str, ...]
) -> tuple[str, ...]:
    """The sampler of one host. `server` and `workers` are PID:NAME."""
    watched: tuple[str, ...] = ("--server", server) if server else ()
    if server and of.model is not None:  # a command's own backlog isn't known
        watched += ("--backlog", str(BACKLOG))
    each = [word for worker in workers for word in ("--worker", worker)]
    where = ("--host", host, "--port", str(plan.port), "--out", str(out))
    return (python, "-m", "cluster.remote.sampler", *where, *watched, *each)


def _locust(python: str, plan_file: Path, plan: Plan, of: Server, target: HostEntry) -> tuple[str, ...]:
    # The master needs --host as well: it sends its own to the workers.
    address = ("--host", f"http://{target.address}:{plan.port}")
    study = ("--study-plan", str(plan_file), "--study-server", of.name)
    return (python, "-m", "locust", "-f", LOCUSTFILE, USER_CLASSES[plan.client], *address, *study)
