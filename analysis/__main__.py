"""Make all tables and figures of a campaign again, from its files alone; or those that `locust --csv` files allow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from study.errors import StudyError, UsageError, told
from study.layout import require_place
from study.safe_text import accept_any_terminal, printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or that of the error: 2 where a directory can't be analysed."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    parser.add_argument(
        "directories",
        metavar="[NAME=]DIR",
        nargs="+",
        help="a campaign's directory, such as results/latest; or one or several with other Locust runs' CSV files",
    )
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="where figures and tables go (default: the campaign itself; of other Locust runs DIR/analysis)",
    )
    parser.add_argument(
        "--junit",
        metavar="FILE",
        default="",
        help="of a campaign: write a JUnit file too, with a test case for each model and threshold",
    )
    options = parser.parse_args(arguments)
    accept_any_terminal()
    named = [_named(given) for given in options.directories]
    from analysis.read.locust_csv import is_locust  # imports pandas, which --help does without

    try:
        require_place(options.junit)
        if len(named) == 1 and not is_locust(named[0][1]):
            return _campaign(named[0][1], not options.no_figures, options.out, options.junit)
        if options.junit:
            raise UsageError("--junit: other Locust runs have no thresholds; it takes one campaign's directory")
        return _locust(named, options.out, not options.no_figures)
    except StudyError as error:
        print(f"analysis: {printable(str(error))}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        if (text := told(error)) is None:
            raise
        print(f"analysis: {printable(text)}", file=sys.stderr)
        return StudyError.exit_status


def _named(given: str) -> tuple[str, Path]:
    """Name and directory of `name=dir`; the name is empty where a directory is given alone, even one with `=` in it."""
    name, separator, path = given.partition("=")
    return (name, Path(path)) if separator and not Path(given).exists() else ("", Path(given))


def _campaign(directory: Path, figures: bool, out: Path | None, junit: str) -> int:
    from analysis.pipeline import analyze

    analysis = analyze(directory, figures=figures, out=out)
    if junit:
        analysis.write_junit(Path(junit))
    _print(analysis.text, analysis.gaps, analysis.paths)
    runs = len(analysis.results)
    if undone := sum(result.data.state != "done" for result in analysis.results):
        print(f"analysis: {undone} of {runs} runs are not done; the summary names them", file=sys.stderr)
    return 0


def _locust(named: Sequence[tuple[str, Path]], out: Path | None, figures: bool) -> int:
    from analysis.tell.locust_summary import analyze_locust

    analysis = analyze_locust(named, out or named[0][1] / "analysis", figures)
    _print(analysis.text, analysis.gaps, analysis.paths)
    return 0


def _print(text: str, gaps: Iterable[str], paths: Iterable[Path]) -> None:
    print(printable(text))
    for gap in gaps:
        print(f"analysis: {printable(gap)}", file=sys.stderr)
    for path in paths:
        print(path)


if __name__ == "__main__":
    sys.exit(main())
