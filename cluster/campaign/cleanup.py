"""Ends processes of the study on the hosts, brings a run's files home, and removes what the study keeps on a host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster.hosts.host import Host, at_once
from study.errors import HostError
from study.layout import RunFiles


def end_leftovers(hosts: Sequence[Host]) -> list[str]:
    """End what an earlier fab left running, on all hosts at the same time; returns the names of what still ran.

    Raises HostError with all hosts where that fails, after it was done on the others.
    """
    return [name for running in at_once(hosts, end_processes).values() for name in running]


def end_processes(host: Host) -> list[str]:
    """End all processes of the study on a host; returns `host: name` of each that was still running."""
    processes = host.listed()
    for name in processes:
        host.stop(name)
    return [f"{host.entry.name}: {name}" for name, ended in processes.items() if ended is None]


def clean(hosts: Sequence[Host]) -> list[str]:
    """End what runs and remove the study's directory from every host; returns `host: directory` of each.

    Raises HostError with all hosts where that fails, after it was done on the others.
    """

    def remove(host: Host) -> str:
        end_processes(host)
        host.run(["rm", "-rf", "--", str(host.directory)])
        host.run(["rmdir", "--ignore-fail-on-non-empty", "--", str(host.directory.parent)])
        return f"{host.entry.name}: {host.directory}"

    return list(at_once(hosts, remove).values())


def stop_and_collect(hosts: Sequence[Host], scratch: Path, files: RunFiles, lost: str) -> list[str]:
    """Stop all processes and fetch their logs and samples, host by host; returns what went wrong.

    A failure on one host doesn't keep the others from being stopped. A `lost` host comes last: each call to it blocks
    until its timeout. `scratch` is the run's directory below each host's own.
    """
    problems: list[str] = []
    for host in sorted(hosts, key=lambda host: host.entry.name == lost):
        with _collecting(problems):
            for name in list(host.listed()):
                with _collecting(problems):
                    host.stop(name)
            _fetch(host, host.directory / scratch, files)
    return problems


@contextlib.contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Append an error to `problems` instead of raising it."""
    try:
        yield
    except (HostError, OSError) as error:
        problems.append(str(error))


def _fetch(host: Host, scratch: Path, files: RunFiles) -> None:
    """Copy a host's logs and samples into the run's directory, and remove them from the host."""
    if host.run(["test", "-d", str(scratch)]).status == 0:
        host.get(scratch, files.logs)
        host.run(["rm", "-rf", "--", str(scratch)])
        for table in (*files.logs.glob("samples-*.csv"), *files.logs.glob(files.background.name)):
            table.replace(files.directory / table.name)
