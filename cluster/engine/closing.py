"""The end of Locust's master: its last rows are written when it closes its files, and it quits once. And what its
workers do before each of their reports, the last one too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from locust.runners import MasterRunner, WorkerRunner
from locust.stats import StatsCSVFileWriter


class LastRowsWriter(StatsCSVFileWriter):
    """Locust's writer of CSV files, which ends with the rows of about a second before the end; this one with the last.

    The workers' last reports must have come when `close_files` is called.
    """

    _row_at = 0

    def close_files(self) -> None:
        """Replace the content of all files but the history, which gets one more row, and close them."""
        for stream in (self.requests_csv_filehandle, self.failures_csv_filehandle, self.exceptions_csv_filehandle):
            stream.seek(0)
            stream.truncate()
        self.requests_csv(self.requests_csv_writer)
        self.failures_csv(self.failures_csv_writer)
        self.exceptions_csv(self.exceptions_csv_writer)
        if int(time.time()) > self._row_at:
            self._stats_history_data_rows(self.stats_history_csv_writer, time.time())
        super().close_files()

    def _stats_history_data_rows(self, csv_writer: Any, now: float) -> None:
        self._row_at = int(now)
        super()._stats_history_data_rows(csv_writer, now)


def quit_once(runner: MasterRunner) -> None:
    """Make the runner's `quit` do nothing from the second call on: Locust calls it four times, each takes 0.5 s."""
    first = runner.quit
    called: list[bool] = []

    def quit_first() -> None:
        if not called:
            called.append(True)
            first()

    runner.quit = quit_first  # type: ignore[method-assign]


def before_each_report(runner: WorkerRunner, do: Callable[[], None]) -> None:
    """Call `do` when the worker is about to send its statistics: a listener of that event would come after Locust's."""
    send = runner._send_stats

    def do_first() -> None:
        do()
        send()

    runner._send_stats = do_first  # type: ignore[method-assign]
