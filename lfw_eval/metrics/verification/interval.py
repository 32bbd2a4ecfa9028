"""The two steps of VAL's confidence interval, for ranked or counted distances."""

from scipy.stats import binom, binomtest


def threshold_ranks(impostors: int, far_target: float) -> tuple[int, int]:
    """Return ranks, from 0, of the impostor distances around the true threshold at a FAR, 95 %.

    See `confidence_interval` in `val.py` for the method, its source and its limits.
    """
    below = binom.ppf([0.025, 0.975], impostors, far_target).astype(int)
    return max(int(below[0]) - 1, 0), min(int(below[1]), impostors - 1)


def binomial_limits(lower: int, upper: int, n: int) -> tuple[float, float]:
    """Return 95 % limits of a share: the lower limit of `lower` in n, the upper of `upper` in n.

    Exact (Clopper & Pearson 1934).
    """
    low, high = (binomtest(count, n).proportion_ci() for count in (lower, upper))
    return float(low.low), float(high.high)
