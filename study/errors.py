"""Errors that a person can mend: one small tree. fabfile.py turns them into a message and an exit status.

Anything else that is raised is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno

from study.exit_status import ExitStatus

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


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


class DamagedError(StudyError):
    """A pack isn't as it was made: cut, or changed so that it can't be read any further."""

    exit_status = ExitStatus.DIFFERS


def told(error: OSError) -> str | None:
    """A message for an error of the system that a person can mend; None where it isn't one, but a bug.

    Errors about a file that the person named have its name; those of a full disk often have none.
    """
    what = error.strerror or str(error)
    where = "" if error.filename is None else f"{error.filename}: "
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}{what}: free some space; finished runs are kept, and the same command goes on"
    if error.errno in DISK_ERRORS or "usable temporary directory" in what:
        return f"{where}{what}"
    return f"{where}{what}" if where else None
