"""The exit statuses of `fab` and `python -m analysis`, in one table. docs/exit-statuses.md is checked against it."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Each status with its meaning, as docs/exit-statuses.md prints it."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitStatus:
        """An integer that also carries `meaning`."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "the task did what it was asked to do"
    FAILED = 1, "something failed: a host, a run, a deploy, a file; the message says what and what to do about it"
    USAGE = (
        2,
        "a mistake in the plan, in the inventory, on the command line, or in a file's format: nothing was started",
    )
    NO_VALID_STEP = 3, "the campaign ended, but no step of it has a verdict that counts as a measurement"
    WORSE = (
        4,
        "`fab compare --fail-on worse`: a figure of the second campaign is worse by more than days differ; 0 with a"
        " message where nothing shows how large a day is",
    )
    MISSED = 5, "a model misses `must_carry` of the plan's [slo]: so many users, or fewer, break the SLO"
    UNDETERMINED = (
        6,
        "no model misses `must_carry`, but not every one is known to carry so many users: not a pass, nor a failure",
    )
    DIFFERS = (
        7,
        "`fab verify`: the pack is damaged, a file in it was changed, or its raw files give other tables, verdicts or"
        " sentences",
    )
    INTERRUPTED = 130, "Ctrl-C, SIGTERM or SIGHUP: everything was stopped in order, and finished runs are kept"
