"""What the samples of a window say of the accept queue."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.read.sample_rows import SampleRows


@dataclass(frozen=True)
class QueueLooks:
    """The accept queue, as a mean over a window's looks."""

    mean: float
    looks: int
    most: float
    """The largest value of one look that was recorded."""


def queue_looks(rows: SampleRows) -> QueueLooks | None:
    """The accept queue in a window's rows; older samples have one look a second. None where it was not watched."""
    server = rows.having("role", "server")
    moments = server.knowing("accept_queue")["accept_queue"]
    several = server.knowing("accept_queue_mean")
    several = several.where(several["accept_queue_looks"] > 0)
    if len(several):
        looks = several["accept_queue_looks"]
        mean = float((several["accept_queue_mean"] * looks).sum() / looks.sum())
        return QueueLooks(mean, int(looks.sum()), max(mean, float(moments.max()) if len(moments) else 0.0))
    return QueueLooks(float(moments.mean()), len(moments), float(moments.max())) if len(moments) else None
