"""Imports a locustfile as a worker will, and prints as JSON what is wrong with it and which user classes would run.

`python -m cluster.engine.own.examine DIRECTORY PACKAGES NAME HOST --user-class ... --tag ... --file ...`, on control
before anything is started. What the locustfile itself prints goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import locust
from locust.env import Environment
from locust.user.task import filter_tasks_by_tags
from locust.util.load_locustfile import is_shape_class, load_locustfile

from cluster.engine.own import sessions
from cluster.engine.own.place import enter
from cluster.engine.own.takeover import takeovers

UserClasses = dict[str, type[locust.User]]


def main() -> int:
    """Print the answer as the last line."""
    parser = argparse.ArgumentParser()
    for name in ("directory", "packages", "name", "host"):
        parser.add_argument(name)
    for option in ("user_class", "tag", "file"):
        parser.add_argument(f"--{option.replace('_', '-')}", action="append", default=[])
    asked = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        enter(asked.directory, asked.packages)
        mistakes, classes = examined(
            Path(asked.directory), asked.name, asked.host, asked.user_class, asked.tag, asked.file
        )
    print(json.dumps({"mistakes": mistakes, "user_classes": classes}))
    return 0


def examined(
    directory: Path, name: str, host: str, wanted: Sequence[str], tags: Sequence[str], files: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Mistakes, and the names of the classes that would run; a later look is not taken where an earlier one fails."""
    sources = [each for each in files if each.endswith(".py")]
    wrong: list[str] = []
    for source in sources:
        try:
            wrong += takeovers((directory / source).read_text(encoding="utf-8"), source)
        except SyntaxError as error:
            wrong.append(f"{source}, line {error.lineno}: not valid Python: {error.msg}")
        except UnicodeDecodeError as error:
            wrong.append(f"{source}: not UTF-8: {error.reason} at byte {error.start}")
    if wrong:
        return wrong, []
    sessions.only_this_server(host)
    try:
        found, _ = load_locustfile(str(directory / name))
    except BaseException as error:  # SystemExit too: whatever the file does at its import
        return [import_mistake(error, directory)], []
    return of_classes(found, sys.modules[Path(name).stem], host, wanted, tags, directory)


def import_mistake(error: BaseException, directory: Path) -> str:
    """Why the import failed, with the line of the locustfile, or of one of its files, where it did."""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = place_of(error, directory)
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{place}there is no module {error.name}: if it is a library, `requirements` names a file with it and its "
            "hashes; if it is a file of yours, `files` names it"
        )
    return f"{place}can't be imported: {what}"


def place_of(error: BaseException, directory: Path) -> str:
    """`file, line N: ` of the last call in one of the locustfile's own files; empty where there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if directory in file.parents:
            return f"{file.relative_to(directory)}, line {frame.lineno}: "
    return ""


def of_classes(
    found: UserClasses, module: object, host: str, wanted: Sequence[str], tags: Sequence[str], directory: Path
) -> tuple[list[str], list[str]]:
    """Mistakes in an imported locustfile's classes, and those of them that would run."""
    shapes = sorted(each.__name__ for each in vars(module).values() if is_shape_class(each))
    if shapes:
        return [f"{', '.join(shapes)}: a load shape of its own: the plan's users or [search] choose the load"], []
    if not found:
        return ["names no user class that isn't abstract"], []
    if unknown := [name for name in wanted if name not in found]:
        return [f"user_classes: {_unknown(name, found)}" for name in unknown], []
    running = {name: kind for name, kind in found.items() if not wanted or name in wanted}
    hosts = {name: kind.host for name, kind in running.items() if kind.host}
    if len({str(each).rstrip("/") for each in hosts.values()}) > 1:
        listed = ", ".join(f"{name} has {each}" for name, each in hosts.items())
        return [
            f"several hosts ({listed}): a plan measures one server; choose classes of one host with user_classes"
        ], []
    wrong = [each for name, kind in running.items() if (each := class_mistake(name, kind, host, tags, directory))]
    return wrong, list(running)


def _unknown(name: str, found: UserClasses) -> str:
    near = difflib.get_close_matches(name, found, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"there is no user class {name}{hint}; there are {', '.join(found)}"


def class_mistake(name: str, kind: type[locust.User], host: str, tags: Sequence[str], directory: Path) -> str:
    """Why users of the class can't run; empty where they can, as far as making one shows."""
    if tags:
        filter_tasks_by_tags(kind, set(tags), None)
    if not kind.tasks:
        return f"{name} has no task" + (f" with a tag of {', '.join(tags)}" if tags else "")
    kind.host = host
    try:
        kind(Environment(user_classes=[kind], host=host))
    except sessions.OtherServerError as error:
        return f"{place_of(error, directory)}{name}: {error}"
    except Exception:
        return ""  # it may want what only a run has
    return ""


if __name__ == "__main__":
    sys.exit(main())
