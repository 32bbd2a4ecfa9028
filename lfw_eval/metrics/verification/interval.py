"""The two steps of VAL's confidence interval, for ranked or counted distances, and when it exists.

The true threshold at a FAR is a quantile of the impostors' distances, and the number of n impostor
pairs below it is binomial: two of their distances bound it without assumptions about their
distribution (Conover 1999, "Practical Nonparametric Statistics", 3.2). Even the nearest impostor
pair and the farthest do so with 95 % confidence only if no impostor pair is below the threshold in
at most 5 % of samples: (1 - FAR)^n <= 0.05, which takes about 3 / FAR pairs (Hanley &
Lippman-Hand 1983, "If nothing goes wrong, is everything all right?", the rule of three).
"""

from math import ceil, floor, log, log1p, log10

from lfw_eval.metrics.distributions import binomial_cdf, binomial_isf, binomial_ppf

MISSED = 0.05
"""Share of intervals that may miss."""


def shortage(rate: str, target: float, samples: int, noun: str) -> str:
    """Return why samples are too few to bound the threshold at a rate, or an empty string.

    Args:
        rate: Its name, such as "FAR".
        target: Its value, above 0 and below 1.
        samples: Those that the rate is a share of.
        noun: What they are, such as "impostor pairs".
    """
    needed = _needed(target)
    if samples >= needed:
        return ""
    # Two digits, rounded up.
    unit = 10 ** max(floor(log10(needed)) - 1, 0)
    about = ceil(needed / unit) * unit
    return f"{rate} {target:g} needs about {about:,} {noun}; there are {samples:,}"


def threshold_ranks(impostors: int, far_target: float) -> tuple[int, int] | None:
    """Return ranks, from 0, of the impostor distances around the true threshold at a FAR, 95 %.

    The lower one misses as near to 2.5 % as ranks allow, the upper one what is left of 5 %. An
    upper rank of `impostors` bounds nothing. None where there is a `shortage`.
    """
    if impostors < _needed(far_target):
        return None
    # The distance of rank r is above the threshold if at most r pairs are below.
    lower = max(binomial_ppf(MISSED / 2, impostors, far_target) - 1, 0)
    missed = binomial_cdf(lower, impostors, far_target)
    # And below it if more than r are.
    return lower, min(binomial_isf(MISSED - missed, impostors, far_target), impostors)


def _needed(target: float) -> float:
    return log(MISSED) / log1p(-target)
