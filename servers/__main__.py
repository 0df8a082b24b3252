"""`python -m servers --list` and `python -m servers MODEL --host H --port P`."""

from __future__ import annotations

import argparse
import math
import sys
from types import ModuleType

from servers.core.app import Work
from servers.core.model import Model, load, measured, names
from servers.core.runner import BACKLOG, DRAIN_S, TIMEOUT_S, CannotServe, Settings, run


def main(arguments: list[str] | None = None) -> int:
    """Exit status 2 for a mistake in what was asked, 1 for a failure while running."""
    parser = build_parser()
    asked, rest = parser.parse_known_args(arguments)
    if asked.list:
        for one in measured():
            print(f"{one.name:<16}{one.summary}")
        return 0
    if asked.model is None:
        parser.error("name a model, or ask for --list")
    if asked.model not in names():
        parser.error(f"no model is called {asked.model!r}; there are {', '.join(names())}")
    module = load(asked.model)
    model: Model = module.MODEL
    if missing := model.missing():
        print(f"servers: {model.name} needs {', '.join(missing)}, which isn't installed here", file=sys.stderr)
        return 1
    return serve(module, model, asked, vars(option_parser(model).parse_args(rest)))


def serve(module: ModuleType, model: Model, asked: argparse.Namespace, options: dict[str, object]) -> int:
    """Run the model with what was asked."""
    settings = Settings(
        host=asked.host,
        port=asked.port,
        backlog=asked.backlog,
        timeout=asked.timeout,
        drain=asked.drain,
        keep_alive=asked.connection == "keep-alive",
        work=Work(size=asked.bytes, cpu_ms=asked.cpu_ms, wait_ms=asked.wait_ms, log_requests=asked.log_requests),
    )
    try:
        run(model, module.serve, settings, options)
    except KeyboardInterrupt:  # before the runner has taken the signals over
        return 130
    except CannotServe as error:
        print(f"servers: {error}", file=sys.stderr)
        return 1
    return 0


class Parser(argparse.ArgumentParser):
    """One line for a mistake, without the usage that drowns it."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(self.prog, width=100)  # asking the terminal imports shutil and three compressors

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"servers: {message}\n")


def build_parser() -> Parser:
    """The options that every model has."""
    parser = Parser(prog="python -m servers", description="Run one of the measured servers.", allow_abbrev=False)
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="which one; --list names them")
    add("--list", action="store_true", help="name the models, one line each, and leave")
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add(
        "--port",
        type=whole(0, 65535),
        default=8000,
        help="port to listen on, 0 for any that is free (%(default)s)",
    )
    add("--backlog", type=whole(1, 65535), default=BACKLOG, help="length of the accept queue (%(default)s)")
    add(
        "--timeout",
        type=number(0.001),
        default=TIMEOUT_S,
        help="seconds for a whole request head (%(default)s)",
    )
    add("--drain", type=number(0.0), default=DRAIN_S, help="seconds to finish in when stopped (%(default)s)")
    add("--connection", choices=("close", "keep-alive"), default="close", help="after an answer (%(default)s)")
    add("--log-requests", action="store_true", help="a line on stderr for each request")
    add("--bytes", type=whole(0, 1 << 30), help="a body of that many bytes instead of the request echoed")
    add(
        "--cpu-ms",
        type=number(0.0),
        default=0.0,
        help="CPU time in ms to burn for each request (%(default)s)",
    )
    add(
        "--wait-ms",
        type=number(0.0),
        default=0.0,
        help="ms to wait for each request, as for a database (%(default)s)",
    )
    return parser


def option_parser(model: Model) -> Parser:
    """The options that this model alone has; anything else left over is a mistake."""
    parser = Parser(prog=f"python -m servers {model.name}", allow_abbrev=False, add_help=False)
    for option in model.options:
        flag = f"--{option.name.replace('_', '-')}"
        parser.add_argument(flag, dest=option.name, type=option.parse, default=option.default, help=option.help)
    return parser


class whole:
    """A whole number within bounds."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def __call__(self, text: str) -> int:
        if not (text.isdecimal() and self.least <= int(text) <= self.most):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {self.least} to {self.most}")
        return int(text)


class number:
    """A finite number that is large enough."""

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= self.least):
            raise argparse.ArgumentTypeError(f"{text!r} is no number of at least {self.least:g}")
        return value


if __name__ == "__main__":
    sys.exit(main())
