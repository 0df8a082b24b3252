"""Make all tables and figures of a campaign again, from its files alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import StudyError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 where the directory can't be analysed."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    parser.add_argument("directory", metavar="DIR", type=Path, help="a campaign's directory, such as results/latest")
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    options = parser.parse_args(arguments)
    from analysis.study import analyze  # after the arguments: --help needs no pandas

    try:
        analysis = analyze(options.directory, figures=not options.no_figures)
    except StudyError as error:
        print(f"analysis: {error}", file=sys.stderr)
        return 2
    print(analysis.text)
    for gap in analysis.gaps:
        print(f"analysis: {gap}", file=sys.stderr)
    runs = len(analysis.results)
    if undone := sum(result.data.state != "done" for result in analysis.results):
        print(f"analysis: {undone} of {runs} runs are not done; the summary names them", file=sys.stderr)
    for path in analysis.paths:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
