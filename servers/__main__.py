"""`python -m servers --list` and `python -m servers MODEL --host H --port P`."""

from __future__ import annotations

import argparse
import math
import sys
from types import ModuleType

from servers.core.app import AppSettings
from servers.core.model import Model, load, measured, names
from servers.core.runner import BACKLOG, DRAIN_S, TIMEOUT_S, CannotServe, Settings, run


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Exit status 2 for a mistake in the arguments, 1 for a failure while running, 130 if interrupted
    before serving begins.
    """
    parser = build_parser()
    given, rest = parser.parse_known_args(arguments)
    if given.list:
        for each in measured():
            print(f"{each.name:<16}{each.summary}")
        return 0
    if given.model is None:
        parser.error("give a model's name, or --list")
    if given.model not in names():
        parser.error(f"there is no model {given.model!r}; there are: {', '.join(names())}")
    module = load(given.model)
    model: Model = module.MODEL
    if missing := model.missing():
        print(f"servers: {model.name} needs {', '.join(missing)}, which isn't installed here", file=sys.stderr)
        return 1
    return serve(module, model, given, vars(option_parser(model).parse_args(rest)))


def serve(module: ModuleType, model: Model, given: argparse.Namespace, options: dict[str, object]) -> int:
    """Run the model with the given options; returns the exit status."""
    settings = Settings(
        host=given.host,
        port=given.port,
        backlog=given.backlog,
        timeout=given.timeout,
        drain=given.drain,
        keep_alive=given.connection == "keep-alive",
        app=AppSettings(size=given.bytes, cpu_ms=given.cpu_ms, wait_ms=given.wait_ms, log_requests=given.log_requests),
    )
    try:
        run(model, module.serve, settings, options)
    except KeyboardInterrupt:  # before the runner has installed its signal handlers
        return 130
    except CannotServe as error:
        print(f"servers: {error}", file=sys.stderr)
        return 1
    return 0


class Parser(argparse.ArgumentParser):
    """Prints a mistake as one line, without the usage text."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(self.prog, width=100)  # the default asks the terminal, which imports shutil

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"servers: {message}\n")


def build_parser() -> Parser:
    """The options that every model has."""
    parser = Parser(prog="python -m servers", description="Run one of the measured servers.", allow_abbrev=False)
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="the model to run; --list names them")
    add("--list", action="store_true", help="list the models, one line each, and exit")
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add(
        "--port",
        type=WholeNumber(0, 65535),
        default=8000,
        help="port to listen on, 0 for any free one (%(default)s)",
    )
    add("--backlog", type=WholeNumber(1, 65535), default=BACKLOG, help="length of the accept queue (%(default)s)")
    add(
        "--timeout",
        type=Number(0.001),
        default=TIMEOUT_S,
        help="seconds in which a request head must arrive (%(default)s)",
    )
    add("--drain", type=Number(0.0), default=DRAIN_S, help="seconds to finish requests when stopped (%(default)s)")
    add("--connection", choices=("close", "keep-alive"), default="close", help="what follows an answer (%(default)s)")
    add("--log-requests", action="store_true", help="log each request line on stderr")
    add("--bytes", type=WholeNumber(0, 1 << 30), help="answer with a body of this size instead of echoing the request")
    add(
        "--cpu-ms",
        type=Number(0.0),
        default=0.0,
        help="CPU time in ms to burn per request (%(default)s)",
    )
    add(
        "--wait-ms",
        type=Number(0.0),
        default=0.0,
        help="ms to wait per request, as for a database (%(default)s)",
    )
    return parser


def option_parser(model: Model) -> Parser:
    """The options of this model alone; any other remaining argument is a mistake."""
    parser = Parser(prog=f"python -m servers {model.name}", allow_abbrev=False, add_help=False)
    for option in model.options:
        flag = f"--{option.name.replace('_', '-')}"
        parser.add_argument(flag, dest=option.name, type=option.parse, default=option.default, help=option.help)
    return parser


class WholeNumber:
    """Parses a whole number from `least` to `most`."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def __call__(self, text: str) -> int:
        if not (text.isdecimal() and self.least <= int(text) <= self.most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {self.least} to {self.most}")
        return int(text)


class Number:
    """Parses a finite number of at least `least`."""

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= self.least):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {self.least:g}")
        return value


if __name__ == "__main__":
    sys.exit(main())
