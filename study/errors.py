"""Errors that a person can mend: one small tree. fabfile.py turns them into a message and an exit status.

Anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

from study.exit_status import ExitStatus


class StudyError(Exception):
    """Its text says what happened and what to do about it."""

    exit_status = ExitStatus.FAILED


class PlanError(StudyError):
    """The plan has mistakes; the text lists all of them, not only the first."""

    exit_status = ExitStatus.USAGE


class InventoryError(StudyError):
    """The inventory can't be read, or names hosts that can't be used."""

    exit_status = ExitStatus.USAGE


class UsageError(StudyError):
    """The command line has an option, or a combination of options, that can't be used."""

    exit_status = ExitStatus.USAGE


class HostError(StudyError):
    """A command on a host failed; the text names the host, the command, its exit status and its last lines."""


class UnreachableError(HostError):
    """No connection to a host can be opened, or an open one was lost."""


class RunError(StudyError):
    """A run of one model could not be completed."""


class LostHostError(RunError):
    """The connection to a host was lost during a run."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host} was lost: {why}")
        self.host = host


class StoppedError(StudyError):
    """Somebody else ended the campaign's processes (`fab stop`): the campaign must not continue."""


class FormatError(StudyError):
    """A file has a format version that this program doesn't read, or isn't the kind of file that its name says."""

    exit_status = ExitStatus.USAGE
