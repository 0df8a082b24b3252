"""Ends processes of the study on the hosts, brings a run's files home, and removes what the study keeps on a host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster.campaign.launch import BACKGROUND, SERVER
from cluster.hosts.host import Host, at_once, try_all
from cluster.hosts.inventory import REMOTE_DIR
from study.errors import HostError, UnreachableError
from study.layout import RunFiles

MOST_NAMED = 5  # of the files that are refused, in a message


def end_leftovers(hosts: Sequence[Host]) -> list[str]:
    """End what an earlier fab left running, on all hosts at the same time; returns the names of what still ran.

    Raises HostError with all hosts where that fails, after it was done on the others.
    """
    return [name for running in at_once(hosts, end_processes).values() for name in running]


def end_processes(host: Host) -> list[str]:
    """End all processes of the study on a host; returns `host: name` of each that was still running."""
    processes = host.listed()
    if processes:
        host.stop_all()
    return [f"{host.entry.name}: {name}" for name, ended in processes.items() if ended is None]


def clean(hosts: Sequence[Host]) -> list[str]:
    """End what runs and remove the study's directory from every host; returns `host: directory` of each.

    A directory without the study's mark is left as it is. Raises HostError with all hosts where that fails, after it
    was done on the others.
    """

    def remove(host: Host) -> str:
        if host.run(["test", "-d", str(host.directory)]).status:
            return ""
        host.claim()
        end_processes(host)
        host.run(["rm", "-rf", "--", str(host.directory)])
        if host.directory.parent.name == Path(REMOTE_DIR).name:
            host.run(["rmdir", "--", str(host.directory.parent)])  # fails where another host's is there
        return f"{host.entry.name}: {host.directory}"

    return [removed for removed in at_once(hosts, remove).values() if removed]


def stop_and_collect(
    hosts: Sequence[Host], scratch: Path, files: RunFiles, lost: str, processes: Mapping[str, Collection[str]]
) -> list[str]:
    """Stop all processes and fetch their logs and samples; returns what went wrong.

    The last of the hosts is the server's, which is stopped when the others, all at the same time, have been. A failure
    on one host doesn't keep the others from being stopped. A `lost` host comes last: each call to it blocks until its
    timeout. `scratch` is the run's directory below each host's own; `processes` are the names of those that the run has
    on each host, whatever the host itself says.
    """

    def stop(host: Host) -> list[str]:
        problems: list[str] = []
        with _collecting(problems):
            try:
                host.stop_all()
            except UnreachableError:
                raise
            except HostError as error:  # a process that can't be ended; its logs say more
                problems.append(str(error))
            problems += _fetch(host, host.directory / scratch, files, processes)
        return problems

    reached = [host for host in hosts if host.entry.name != lost]
    *others, last = reached or hosts
    together = (others, [last], [host for host in hosts if host.entry.name == lost and host is not last])
    return [problem for group in together for problem in _problems(group, stop)]


def _problems(hosts: Sequence[Host], stop: Callable[[Host], list[str]]) -> list[str]:
    """What went wrong on each of the hosts, in their order, with `stop` called for all at the same time."""
    return [
        problem
        for each in try_all(hosts, stop).values()
        for problem in ([str(each)] if isinstance(each, HostError) else each)
    ]


@contextlib.contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Append an error to `problems` instead of raising it."""
    try:
        yield
    except (HostError, OSError) as error:
        problems.append(str(error))


def _fetch(host: Host, scratch: Path, files: RunFiles, processes: Mapping[str, Collection[str]]) -> list[str]:
    """Copy a host's logs and samples into the run's directory, and remove them from the host.

    Returns what it brought that isn't its own, and isn't taken: a host may have been tampered with.
    """
    if host.run(["test", "-d", str(scratch)]).status:
        return []
    name = host.entry.name
    refused = []
    files.directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=files.directory, prefix=".brought-") as temporary:
        brought = Path(temporary) / name
        host.get(scratch, brought)
        for path in sorted(path for path in brought.rglob("*") if path.is_file() and not path.is_symlink()):
            relative = path.relative_to(brought)
            if (place := place_of(relative, name, files, processes)) is None:
                refused.append(str(relative))
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    host.run(["rm", "-rf", "--", str(scratch)])
    if not refused:
        return []
    shown = ", ".join(refused[:MOST_NAMED]) + (f" and {len(refused) - MOST_NAMED} more" * (len(refused) > MOST_NAMED))
    return [f"{name} brought files that aren't its own, and were not taken: {shown}"]


def place_of(brought: Path, host: str, files: RunFiles, processes: Mapping[str, Collection[str]]) -> Path | None:
    """Where a file that a host brought belongs; None where it isn't the host's own.

    A host has its own samples and the logs of its own processes. The background clients' host has their table, and the
    server's host whatever the server wrote, but nothing under a name that belongs to another host.
    """
    own, name = processes[host], str(brought)
    if name == files.samples(host).name or (name == files.background.name and BACKGROUND in own):
        return files.directory / name
    process = brought.stem if brought.suffix in (".log", ".out") and len(brought.parts) == 1 else ""
    if process in own:
        return files.logs / name
    others = {each for names in processes.values() for each in names}
    is_others = process in others or name == files.background.name or fnmatch(name, files.samples("*").name)
    return files.logs / brought if SERVER in own and not is_others else None
