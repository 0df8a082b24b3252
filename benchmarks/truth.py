"""How often each statistical claim is wrong, and how often each fault is found, in systems whose truth is known.

`python -m benchmarks.truth` prints a table: what was simulated, what is claimed, what came out, its standard error. The
tests hold shorter versions of the same simulations to the same claims. `--share 0.1` makes a tenth of the repetitions.
The whole takes hours: `--piece 2/8 --keep FILE` makes the second eighth of them and adds its counts to those in FILE.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import judged, simulations
from benchmarks.simulations import Row


@dataclass(frozen=True)
class Simulation:
    """One group of simulations, and how often each is repeated."""

    simulate: Callable[[range], Iterator[Row]]
    repeat: int


PARTS = {
    "family": Simulation(simulations.family_errors, 2000),
    "power": Simulation(simulations.family_power, 500),
    "median": Simulation(simulations.median_coverage, 4000),
    "ratios": Simulation(simulations.ratio_coverage, 2000),
    "days": Simulation(simulations.day_errors, 2000),
    "laws": Simulation(simulations.law_errors, 200),
    "queue": Simulation(simulations.queue_errors, 200),
    "drift": Simulation(simulations.drift_found, 200),
    "strangers": Simulation(simulations.strangers_found, 4000),
    "judge": Simulation(judged.judged_runs, 25),
    "faults": Simulation(judged.faults_found, 40),
}


def slice_of(piece: str, repeat: int) -> range:
    """The numbers of the repetitions of a piece, as `2/8`. Raises ValueError."""
    at, _, of = piece.partition("/")
    number, pieces = int(at), int(of)
    if not 1 <= number <= pieces:
        raise ValueError(f"{piece}: the pieces are 1/{pieces} to {pieces}/{pieces}")
    return range(repeat * (number - 1) // pieces, repeat * number // pieces)


def added(rows: Sequence[Row], more: Sequence[Row]) -> list[Row]:
    """The rows with the counts of others added, by what was simulated."""
    together = {row.what: row for row in rows}
    for row in more:
        before = together.get(row.what, replace(row, hits=0, runs=0))
        together[row.what] = replace(row, hits=row.hits + before.hits, runs=row.runs + before.runs)
    return list(together.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where something is wrong more often than claimed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description="Hold each claim to simulations.")
    parser.add_argument("parts", nargs="*", help=f"which of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="of the repetitions (default: 1)")
    parser.add_argument("--piece", default="1/1", help="which part of them, as 2/8 (default: all)")
    parser.add_argument("--keep", type=Path, help="file with the counts of other pieces, to which these are added")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    rows: list[Row] = []
    for name in options.parts or PARTS:
        try:
            numbers = slice_of(options.piece, max(2, round(options.share * PARTS[name].repeat)))
        except ValueError as error:
            parser.error(str(error))
        rows = added(rows, list(PARTS[name].simulate(numbers)))
    if options.keep is not None:
        kept = json.loads(options.keep.read_text(encoding="utf-8")) if options.keep.exists() else []
        rows = added([Row(**each) for each in kept], rows)
        options.keep.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    broken = sum(row.broken for row in rows)
    table = Table("what", "claimed", "simulated", "standard error", "runs", show_edge=False)
    for row in rows:
        claimed = f"at most {row.most:.0%}" if row.most is not None else row.claimed
        style = "red" if row.broken else ""
        table.add_row(row.what, claimed, f"{row.share:.1%}", f"{row.error:.1%}", str(row.runs), style=style)
    Console(width=160).print(table)
    print(f"{broken} claims broken", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
