"""What the commands of a plan need on the target, tried by `fab check`: programs, directories, interpreters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.campaign.preflight import HostCheck, Level, programs
from cluster.hosts.host import Host, json_value
from study.errors import HostError
from study.plan import Plan
from study.workload import Server


def check_commands(plan: Plan, target: Host) -> list[HostCheck]:
    """The checks of every server of the plan that the study starts."""
    servers = [plan.server(name) for name in plan.models]
    wanted = {server.name: _programs(server) for server in servers}
    checks = [check for server in servers for check in _place_checks(server, target)]
    return checks + (_missing_programs(target, wanted) if any(wanted.values()) else [])


def _missing_programs(target: Host, wanted: Mapping[str, Sequence[str]]) -> list[HostCheck]:
    name = target.entry.name
    names = sorted({program for needed in wanted.values() for program in needed})
    try:
        answer = target.module("exec", "--missing", *names).out
        missing = target.parsed(list[str], json_value(answer), "exec")
    except (HostError, ValueError) as error:
        return [HostCheck(name, "warn", "programs", str(error), "see what it says")]
    return programs(name, wanted, missing)


def _programs(server: Server) -> tuple[str, ...]:
    """Programs and modules that a server of a command needs on the target."""
    if server.command is None:
        return ()
    program = server.program
    own = "/" in program and not program.startswith("/")  # in the server's own directory, which its setup may make
    needed = () if server.python is not None else server.requires  # by another interpreter, each run looks for them
    return tuple(dict.fromkeys(filter(None, ("" if own else program, *needed))))


def _place_checks(server: Server, target: Host) -> list[HostCheck]:
    """Whether the target has a server's directory and its interpreter, as far as they aren't made by its setup."""
    tried = []
    if server.directory is not None and server.directory.startswith("/"):
        tried.append((f"directory of {server.name}", server.directory, ["test", "-d", server.directory]))
    if server.python is not None and (server.python.startswith("/") or "/" not in server.python):
        tried.append((f"python of {server.name}", server.python, [server.python, "-c", ""]))
    checks = []
    for what, value, argv in tried:
        try:
            there = not target.run(argv).status
        except HostError:  # no such program
            there = False
        level: Level = "ok" if there else "warn"
        said = "there" if there else "not there, or can't be used"
        remedy = "" if there else "make it on the target, or change the plan"
        checks.append(HostCheck(target.entry.name, level, what, f"{value}: {said}", remedy))
    return checks
