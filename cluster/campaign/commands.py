"""The commands of a run as argument lists: pure functions of the plan. Hosts quote them where a shell is involved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.hosts.inventory import LOOPBACK, HostEntry, url_host
from servers.core.runner import BACKLOG, TIMEOUT_S
from study.layout import RunFiles
from study.models import needs
from study.plan import Plan
from study.workload import Server

LAUNCH = "cluster.engine.start_locust"  # Locust with a locustfile of one's own
LOCUSTFILE = "cluster/engine/locustfile.py"  # below the directory of the code, where hosts run commands
USER_CLASSES = {"lean": "LeanUser", "fast": "FastQuickstartUser", "http": "QuickstartUser"}
TLS_USER_CLASS = "TlsLeanUser"  # in place of the lean one
BOOT_ID = ("cat", "/proc/sys/kernel/random/boot_id")  # changes with each boot


@dataclass(frozen=True)
class OwnPlace:
    """Where a locustfile of one's own is on one host: its directory and name there, its classes, its requirements."""

    directory: Path
    name: str
    user_classes: tuple[str, ...]
    packages: Path | None


def server(
    python: str,
    plan: Plan,
    measured: Server,
    target: HostEntry,
    cores: int,
    scratch: Path,
    place: ServerPlace | None = None,
) -> tuple[str, ...]:
    """The measured server, listening on the target's address only; `cores` is how many it will have.

    `python` is the target's, `place` what the server has of its own there.
    """
    place = place or ServerPlace(Path(), python)
    interpreter = place.python
    if measured.command is not None:
        values = {"host": target.address, "port": plan.port, "cores": cores, "python": interpreter, "scratch": scratch}
        words = measured.argv({name: str(value) for name, value in values.items()})
        return surrounded(python, measured, words, place)
    assert measured.model is not None
    assert measured.work is not None
    size: tuple[str, ...] = () if measured.work.bytes is None else ("--bytes", str(measured.work.bytes))
    options = [word for name, value in measured.options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return (
        *(interpreter, "-m", "servers", measured.model, "--host", target.address, "--port", str(plan.port)),
        *("--connection", "keep-alive" if keeps_alive(plan) else "close"),
        *("--cpu-ms", str(measured.work.cpu_ms), "--wait-ms", str(measured.work.wait_ms), *size, *options),
    )


@dataclass(frozen=True)
class ServerPlace:
    """A server's own directory on the target, its interpreter, and the file that has its environment."""

    directory: Path
    python: str
    environment: Path | None = None


def surrounded(python: str, of: Server, words: tuple[str, ...], place: ServerPlace) -> tuple[str, ...]:
    """Words of a command, run in the server's directory, with its environment and its interpreter's own programs."""
    options: list[str] = []
    if of.directory is not None or of.files or of.setup is not None:
        options += ["--in", str(place.directory / (of.directory or ""))]
    if place.environment is not None:
        options += ["--environment", str(place.environment)]
    if place.python != python and "/" in place.python:
        options += ["--path", str(Path(place.python).parent)]
    return (python, "-m", "cluster.remote.exec", *options, *(("--",) if options else ()), *words)


def keeps_alive(plan: Plan) -> bool:
    """Whether the server must support keep-alive: for the users, or for idle background clients."""
    return plan.keeps_alive or plan.idle_connections > 0


def requires(measured: Server) -> tuple[str, ...]:
    """Programs and modules that the server requires on the target."""
    return measured.requires if measured.model is None else needs(measured.model)


def missing(python: str, needed: tuple[str, ...]) -> tuple[str, ...]:
    """Prints as JSON which of `needed` aren't installed on the host."""
    return (python, "-m", "cluster.remote.exec", "--missing", *needed)


def probe(
    python: str, plan: Plan, measured: Server, target: HostEntry, ready_s: float, request: ProbedRequest | None = None
) -> tuple[str, ...]:
    """The readiness probe: one request from a load host, and a check of the answer. Waits `ready_s` for a command."""
    host, port = measured.location(target.address, plan.port)
    where = ("--host", host, "--port", str(port), "--connection", plan.connection, "--timeout", str(plan.timeout))
    wait: tuple[str, ...] = ()
    if measured.command is not None:
        wait = ("--wait", str(ready_s), *(("--ready", measured.ready) if measured.ready else ()))
    body: tuple[str, ...] = ("--echo",) if measured.echoes else ()
    if measured.body is not None:
        body = (f"--body={measured.body.decode()}",) if measured.model is None else ("--bytes", str(len(measured.body)))
    wanted = measured.asked.wanted
    if measured.model is None:
        body += (f"--contains={wanted.contains}",) if wanted.contains else ()
        body += tuple(f"--wanted-field={name}: {value}" for name, value in wanted.headers.items())
    tls: tuple[str, ...] = ("--tls",) if measured.tls else ()
    if request is not None and request.ca is not None:
        tls += ("--ca", str(request.ca))
    tls += () if measured.verify else ("--no-verify",)
    return (python, "-m", "cluster.remote.probe", *where, *_asked(measured, request), *tls, *wait, *body)


def background(
    python: str,
    plan: Plan,
    measured: Server,
    target: HostEntry,
    out: Path,
    request: ProbedRequest | None = None,
    addresses: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """The plan's background clients, on one load host; they write their table to `out`.

    `addresses` are the server's, where they are known already.
    """
    host, port = measured.location(target.address, plan.port)
    where = ("--host", host, "--port", str(port), "--timeout", str(plan.timeout), "--out", str(out))
    known = ("--address", addresses[0]) if addresses else ()
    many = ("--keep-alive", str(TIMEOUT_S), "--idle", str(plan.idle_connections), "--slow", str(plan.slow_clients))
    return (python, "-m", "cluster.remote.background", *where, *known, *_asked(measured, request), *many)


@dataclass(frozen=True)
class ProbedRequest:
    """The parts of a request that are in files, as they lie on a load host; `path` is the one of several to ask for."""

    path: str
    body: Path | None = None
    ca: Path | None = None
    headers: Path | None = None


def _asked(measured: Server, request: ProbedRequest | None) -> tuple[str, ...]:
    """The request's options for the probe and the background clients."""
    asked = measured.asked
    request = request or ProbedRequest(asked.path)
    fields = () if request.headers is None else ("--headers-file", str(request.headers))
    body = () if request.body is None else ("--body-file", str(request.body))
    return ("--method", asked.method, "--path", request.path, *fields, *body, "--status", str(measured.status))


def kernel_counters(python: str) -> tuple[str, ...]:
    """Prints the target's kernel counters, used where a server keeps no counts of its own."""
    return (python, "-m", "cluster.remote.kernel")


def master(
    python: str,
    plan_file: Path,
    plan: Plan,
    measured: Server,
    target: HostEntry,
    run: Path,
    workers: tuple[str, ...],
    address: str = LOOPBACK,
    own: OwnPlace | None = None,
) -> tuple[str, ...]:
    """Locust's master. It authenticates nobody, so it binds loopback, or the one address that the inventory names."""
    return (
        *_locust(python, plan_file, plan, measured, target, own),
        *("--headless", "--only-summary", "--master", "--master-bind-host", address),
        *("--master-bind-port", str(plan.master_port), "--stop-timeout", f"{plan.timeout + 1:g}"),
        *("--csv", str(RunFiles(run).locust_prefix), "--study-run", str(run), "--study-workers", ",".join(workers)),
    )


def worker(
    python: str,
    plan_file: Path,
    plan: Plan,
    measured: Server,
    target: HostEntry,
    name: str,
    master: tuple[str, int] | None = None,
    own: OwnPlace | None = None,
    addresses: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """One of Locust's workers; `name` is its name in the ledger. `master`: (address, port), by default on loopback.

    `addresses` are the server's, where they are known already.
    """
    address, port = master or (LOOPBACK, plan.master_port)
    where: tuple[str, ...] = ("--worker", "--master-host", address, "--master-port", str(port))
    where += ("--study-addresses", ",".join(addresses)) if addresses else ()
    return (*_locust(python, plan_file, plan, measured, target, own), *where, "--study-worker", name)


def sampler(
    python: str,
    plan: Plan,
    measured: Server,
    host: str,
    out: Path,
    server: str | None,
    workers: tuple[str, ...],
    own: Iterable[int] = (),
    append: bool = False,
) -> tuple[str, ...]:
    """The sampler of one host, which writes its samples to `out`. `server` and `workers` are PID:NAME.

    `own` are the PIDs of the study's other processes on the machine. With `append` it goes on with an earlier one's.
    """
    watched: tuple[str, ...] = ("--server", server) if server else ()
    if server and measured.model is not None:  # the backlog of a command isn't known
        watched += ("--backlog", str(BACKLOG))
    each = [word for worker in workers for word in ("--worker", worker)]
    each += [word for pid in own for word in ("--own", str(pid))]
    port = measured.location("", plan.port)[1]
    where = ("--host", host, "--port", str(port), "--out", str(out), *(("--append",) if append else ()))
    return (python, "-m", "cluster.remote.sampler", *where, *watched, *each)


def _locust(
    python: str, plan_file: Path, plan: Plan, measured: Server, target: HostEntry, own: OwnPlace | None
) -> tuple[str, ...]:
    # The master needs --host too: it sends its own value to the workers.
    host, port = measured.location(target.address, plan.port)
    address = ("--host", f"{'https' if measured.tls else 'http'}://{url_host(host)}:{port}")
    study = ("--study-plan", str(plan_file), "--study-server", measured.name)
    if own is None:
        user = TLS_USER_CLASS if measured.tls and plan.client == "lean" else USER_CLASSES[plan.client]
        return (python, "-m", "locust", "-f", LOCUSTFILE, user, *address, *study)
    tags = ("--tags", *plan.tags) if plan.tags else ()
    launch = (python, "-m", LAUNCH, str(own.directory), str(own.packages or ""), own.name)
    return (*launch, *own.user_classes, *address, *study, *tags)
