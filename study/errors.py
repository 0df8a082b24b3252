"""What a person can mend: one small tree, turned into a message and an exit status in one place (fabfile.py).

Anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations


class StudyError(Exception):
    """What happened and what to do about it, in words for the person at the keyboard."""

    exit_status = 1


class PlanError(StudyError):
    """The plan asks for something that can't be; carries every mistake found, not only the first."""

    exit_status = 2


class InventoryError(StudyError):
    """The inventory can't be read, or names hosts that can't be used."""

    exit_status = 2


class UsageError(StudyError):
    """The command line asks for something that can't be."""

    exit_status = 2


class HostError(StudyError):
    """A command on a host failed: says which host, which command, its exit status and its last lines."""


class UnreachableError(HostError):
    """A host can't be reached, or was lost on the way: says how to see why."""


class RunError(StudyError):
    """A run of one model could not be brought to its end."""


class LostHostError(RunError):
    """A host can't be reached any more, in the middle of a run."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host} was lost: {why}")
        self.host = host


class StoppedError(StudyError):
    """Somebody else, `fab stop` perhaps, ended the campaign's processes: it is not to be gone on with."""


class FormatError(StudyError):
    """A file is of another version than this program reads, or isn't what its name says."""

    exit_status = 2
