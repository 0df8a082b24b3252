"""What an accept queue holds on average without the server being full, and how far an average of samples may be off.

METHOD's "Saturated": a queue is evidence of a limit only where its time-average exceeds what random arrivals at the
measured utilisation give (M/D/1), here by more than chance. Chance is that of M/M/c: with service times that vary as
much as exponential ones the queue is twice as long, so that a server whose requests differ in cost isn't called full.
Times in s.

Sources: Kleinrock, Queueing Systems I, section 3 (Erlang's C); Whitt, Planning Queueing Simulations, Management Science
35 (1989), for the asymptotic variance of a queue's time-average; Cox and Lewis for the gamma shape of small queues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from analysis.judge.thresholds import THRESHOLDS as T


@dataclass(frozen=True)
class QueueMean:
    """The time-average of a queue, against what random arrivals give."""

    mean: float
    """Connections in the queue, mean of the samples."""
    expected: float
    """Lq of M/D/1, of several servers M/D/c, at the utilisation that was measured."""
    allowed: float
    """The most that a server which isn't full shows in all but `queue_alarms` of such windows."""

    @property
    def full(self) -> bool:
        """More waited than random arrivals explain, by more than chance."""
        return self.mean > self.allowed


def erlang_c(servers: int, offered: float) -> float:
    """Probability that a request waits, of M/M/c with `offered` = c x utilisation; 1 where it is c or more."""
    if offered >= servers:
        return 1.0
    blocked = 1.0  # Erlang's B by its recursion
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mean_queue(utilisation: float, servers: int = 1, service_cv: float = 1.0) -> float:
    """Lq: mean number waiting at random arrivals; service_cv 0 is M/D/1, rho^2 / (2 (1 - rho)), 1 is M/M/1.

    For several servers Erlang's C times (1 + cv^2) / 2 (Allen and Cunneen's approximation). Infinite from 1 on.
    """
    if utilisation >= 1:
        return math.inf
    waits = erlang_c(servers, servers * utilisation)
    return waits * utilisation / (1 - utilisation) * (1 + service_cv**2) / 2


def queue_error(
    utilisation: float, seconds: float, samples: int, service_s: float, servers: int = 1, service_cv: float = 1.0
) -> float:
    """Standard deviation of the mean of so many samples, evenly over `seconds`, of the queue of `mean_queue`.

    Two parts: that of the time-average, 2 rho (1 + rho) / (1 - rho)^4 service times over the window (Whitt's equation
    for M/M/1, here with the service time of all servers together), and that of looking only now and then.
    """
    rho = min(utilisation, 1 - 1e-6)
    scale = ((1 + service_cv**2) / 2) ** 3
    waits = erlang_c(servers, servers * rho) / rho if servers > 1 and rho > 0 else 1.0
    each = service_s / servers
    slow = scale * waits * 2 * rho * (1 + rho) / (1 - rho) ** 4 * each / seconds
    moment = scale ** (2 / 3) * waits * rho**2 * (1 + rho - rho**2) / (1 - rho) ** 2
    return math.sqrt(min(slow, moment) + moment / max(1, samples))


def judge_queue(
    mean: float,
    samples: int,
    seconds: float,
    utilisation: float,
    throughput: float,
    servers: int = 1,
    service_cv: float = 1.0,
) -> QueueMean:
    """The mean of so many samples of the accept queue, over a window of `seconds`, against random arrivals.

    Service times vary by `service_cv`, as those of exponential ones where it is 1.

    `utilisation` is the busy share of what takes connections from the queue (the tree's CPU over its usable cores, or
    the busy share of a known pool of `servers`), `throughput` requests/s; the service time is what both come to.
    """
    if utilisation >= 1 or throughput <= 0:
        return QueueMean(mean, math.inf, math.inf)
    expected = mean_queue(utilisation, servers, 0.0)
    varied = mean_queue(utilisation, servers, service_cv)
    service_s = servers * utilisation / throughput
    error = queue_error(utilisation, seconds, samples, service_s, servers, service_cv)
    if varied <= 0 or error <= 0:
        return QueueMean(mean, expected, T.queue_least)
    shape, scale = (varied / error) ** 2, error**2 / varied
    return QueueMean(mean, expected, max(T.queue_least, scale * float(special.gammainccinv(shape, T.queue_alarms))))


def pool_busy(throughput: float, held_s: float, pool: int) -> float:
    """Share of a pool of known size that is busy: X x time held / k; `pool` is declared by the model, never counted.

    `held_s` is how long a request holds its member: at least what the plan makes it wait plus its CPU time.
    """
    return throughput * held_s / pool


def pool_full(throughput: float, held_s: float, pool: int) -> bool:
    """All of the pool is busy. A closed load that fills it gives exactly X = k / time held."""
    return pool_busy(throughput, held_s, pool) >= T.full_pool
