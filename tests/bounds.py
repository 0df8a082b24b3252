"""Time and memory that an input may cost at most, measured for every input that a test tries."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_MB = 300.0
ALARM_CPU_S = 20.0
"""What takes this long doesn't end; how long the slowest input took is printed, and wanted to be under 2 s."""


@dataclass
class Bounds:
    """Inputs tried, and what the dearest of them cost: CPU seconds, and MiB above what the process had before."""

    tried: int = 0
    longest_s: float = 0.0
    most_mb: float = 0.0

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """For one input. Fails where it costs more than MOST_MB or ALARM_CPU_S."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is now what is resident
        began, before = time.process_time(), _status_mb("VmHWM")
        yield
        took_s, grown_mb = time.process_time() - began, _status_mb("VmHWM") - before
        self.tried += 1
        self.longest_s, self.most_mb = max(self.longest_s, took_s), max(self.most_mb, grown_mb)
        assert took_s < ALARM_CPU_S
        assert grown_mb < MOST_MB

    def __str__(self) -> str:
        return f"{self.tried} inputs, longest {self.longest_s:.2f} s of CPU, most {self.most_mb:.0f} MiB"


def _status_mb(key: str) -> float:
    found = re.search(rf"^{key}:\s+([0-9]+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
