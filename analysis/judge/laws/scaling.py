"""How throughput grows with the cores: Gunther's Universal Scalability Law.

X(p) = g p / (1 + s (p - 1) + k p (p - 1)) with p cores: g is the throughput of one core, s the contention (the share
that only one core at a time can do), k the coherency (the cost of keeping each pair of cores consistent). Source: N.
Gunther, "A General Theory of Computational Scalability Based on Rational Functions" (2008), theorem 1; with k = 0 it is
Amdahl's law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

FULL_LAW = 3
"""Core counts that it takes to fit all three parameters; with two, k is taken as 0."""


@dataclass(frozen=True)
class ScalabilityFit:
    """The law's parameters, none of them negative."""

    one_core: float
    """g, in requests a second."""
    contention: float
    """s, a share."""
    coherency: float | None
    """k; None of two core counts, which can't show it."""
    deviation: float
    """The largest relative difference between a rate and the law."""

    def rate(self, cores: float) -> float:
        """The law's requests per second on so many cores."""
        k = self.coherency or 0.0
        return self.one_core * cores / (1 + self.contention * (cores - 1) + k * cores * (cores - 1))


def fit_scalability(cores: Sequence[float], rates: Sequence[float]) -> ScalabilityFit | None:
    """The law through rates (requests per second, above 0), one for each entry of `cores`; None of one core count.

    p / X(p) is linear in 1/g, s/g and k/g: least squares of its relative errors, with none of the three below 0.
    """
    counts = len(set(cores))
    if counts < 2:
        return None
    p, x = np.asarray(cores, dtype=float), np.asarray(rates, dtype=float)
    terms = np.column_stack([np.ones_like(p), p - 1, p * (p - 1)])[:, : min(counts, FULL_LAW)]
    (inverse, *others), _ = nnls(terms * (x / p)[:, None], np.ones_like(p))
    if inverse <= 0:
        return None
    contention, *coherency = (float(other / inverse) for other in others)
    fit = ScalabilityFit(float(1 / inverse), contention, coherency[0] if coherency else None, 0.0)
    expected = np.array([fit.rate(each) for each in p])
    return ScalabilityFit(fit.one_core, fit.contention, fit.coherency, float(np.abs(x / expected - 1).max()))
