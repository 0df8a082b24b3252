"""The command line as a whole, looked at before Fabric runs its first task.

`--inventory` and `--plan` hold for all tasks, wherever they stand. A wrong name of a task or an option is answered with
the nearest right one, a plan may be named without its option, and `fab` alone lists the tasks.
"""

from __future__ import annotations

import difflib
import os
import re
import signal
import sys
from collections.abc import Collection as Group
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser

from study.errors import UsageError
from study.exit_status import ExitStatus
from study.safe_text import accept_any_terminal, printable

HELD = ("inventory", "plan")  # options that hold for the whole command line
POSITIONS = {
    "plan": "--plan",
    "analyze": "--campaign",
    "report": "--campaign",
    "history": "--results",
    "serve": "--campaign",
}
"""The option of a task's argument without its option."""
SEVERAL = ("serve",)
"""Tasks that take any number of such arguments, one after the other."""
FILES = (".toml", ".ini", ".yml", ".yaml", ".json")
_LACKING = re.compile(r"'(\S+)' did not receive required positional arguments: (.+)")
_UNKNOWN = re.compile(r"No idea what '(.+)' is!")


def parse_tasks(program: Any, tasks: Collection) -> dict[str, list[str]]:
    """The values given for each option of HELD, by Fabric's program, which has parsed its own options alone so far.

    Raises UsageError for what can't be parsed.
    """
    core = getattr(program, "core", None)
    if core is None:  # imported by something else than fab
        return {}
    accept_any_terminal()
    contexts = deepcopy(tasks).to_contexts()  # of a copy, since it takes the help texts out of the tasks
    options_of = {name: set(each.flags) for each in contexts for name in _names(each)}
    core.unparsed[:] = with_options(core.unparsed, options_of)
    options = core[0].args
    asked_otherwise = any(options[name].value for name in ("list", "help", "complete"))
    if not core.unparsed and not core.remainder and not asked_otherwise:
        options["list"]._value = True  # `.value` would make a text of it
    if asked_otherwise or options["list"].value:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `fab -l | head`
        return {}
    try:
        parsed = Parser(initial=program.initial_context, contexts=contexts).parse_argv(core.unparsed)
    except ParseError as error:
        raise UsageError(explain(str(error), error.context, contexts)) from None
    return {
        option: [str(task.args[option].value) for task in parsed if option in task.args and task.args[option].value]
        for option in HELD
    }


def with_options(words: Sequence[str], tasks: Mapping[str, Group[str]]) -> list[str]:
    """The words after `fab`, with the option before a task's argument that has none.

    Options of HELD before the first task go behind the first one that takes them. `tasks`: the options of each.
    """
    first = next((at for at, word in enumerate(words) if word in tasks), 0)
    early, words = list(words[:first]), list(words[first:])
    while early and (option := early[0].partition("=")[0]).removeprefix("--") in HELD:
        length = 1 if "=" in early[0] else 2
        at = next((at for at, word in enumerate(words, 1) if option in tasks.get(word, ())), 0)
        if not at:
            break
        words[at:at] = early[:length]
        del early[:length]
    words[:0] = early
    changed = []
    task = ""  # whose argument comes next
    for word in words:
        is_argument = bool(task) and not word.startswith("-") and word not in tasks
        if is_argument:
            changed.append(POSITIONS[task])
        changed.append(word)
        if word in POSITIONS and word in tasks:
            task = word
        elif not (is_argument and task in SEVERAL):
            task = ""
    return changed


def explain(message: str, context: Any, contexts: Sequence[Any]) -> str:
    """Invoke's message for words that it can't parse, with the nearest name that is known."""
    unknown = _UNKNOWN.search(message)
    if lacking := _LACKING.search(message):
        wanted = lacking[2].replace("'", "").upper().replace(", ", " and ")
        return f"{lacking[1]} needs {wanted}: `fab --help {lacking[1]}` explains them"
    if missing := re.search(r"Flag <Argument: (\S+).*> needed value", message):
        return f"--{missing[1]} needs a value"
    if unknown is None:
        return message
    word = unknown[1]
    if word.endswith(FILES):
        option = "--plan" if word.endswith(".toml") else "--inventory"
        return f"{word!r} is no task; to name a file: {option} {word}"
    if word.partition("=")[0].removeprefix("--") in HELD and not (context and context.name):
        return f"no task of this command line has {word.partition('=')[0]}: `fab --help TASK` lists a task's options"
    if word.startswith("-"):
        known, what = list(context.flags if context is not None else ()), "option"
    else:
        known, what = [name for each in contexts for name in _names(each)], "task"
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    of = f" of {context.name}" if what == "option" and context is not None and context.name else ""
    return f"no {what}{of} is called {word!r}: {hint}`fab -l` lists the tasks, `fab --help TASK` their options"


def _names(context: Any) -> list[str]:
    return [context.name, *context.aliases]


def nobody_reads() -> None:
    """End the program where the reader of its output has gone, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
    sys.exit(ExitStatus.FAILED)


def leave(error: UsageError) -> None:
    """End the program with the message, before any task has run."""
    print(f"fab: {printable(str(error))}", file=sys.stderr)
    sys.exit(error.exit_status)


def choices(given: Mapping[str, Sequence[str]]) -> list[tuple[str | None, str | None]]:
    """The given values as (inventory, plan), one after the other."""
    return [(value, None) for value in given.get("inventory", ())] + [(None, value) for value in given.get("plan", ())]
