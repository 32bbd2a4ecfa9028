"""The root of a function of one variable."""

from collections.abc import Callable

_TOLERANCE = 2e-12
_RELATIVE = 4 * 2.0**-52
_STEPS = 100


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a continuous function crosses 0, by Brent's method.

    Brent 1973, "Algorithms for Minimization Without Derivatives", chapter 4; step for step as
    `scipy.optimize.brentq` with its own tolerances, whose import takes a tenth of a second.

    Args:
        function: Of opposite signs at the two ends, or 0 at one.
        low: One end.
        high: The other.

    Raises:
        ValueError: The signs are the same.
        RuntimeError: It takes too many steps.
    """
    before, best = low, high
    f_before, f_best = function(before), function(best)
    if f_before == 0:
        return before
    if f_best == 0:
        return best
    if (f_before < 0) == (f_best < 0):
        raise ValueError("the function has the same sign at both ends")
    opposite, f_opposite = 0.0, 0.0
    step = previous = 0.0
    for _ in range(_STEPS):
        if f_before != 0 and (f_before < 0) != (f_best < 0):
            opposite, f_opposite = before, f_before
            step = previous = best - before
        if abs(f_opposite) < abs(f_best):
            before, best, opposite = best, opposite, best
            f_before, f_best, f_opposite = f_best, f_opposite, f_best
        tolerance = (_TOLERANCE + _RELATIVE * abs(best)) / 2
        half = (opposite - best) / 2
        if f_best == 0 or abs(half) < tolerance:
            return best
        if abs(previous) > tolerance and abs(f_best) < abs(f_before):
            if before == opposite:  # the secant
                attempt = -f_best * (best - before) / (f_best - f_before)
            else:  # a hyperbola through the three points
                to_before = (f_before - f_best) / (before - best)
                to_opposite = (f_opposite - f_best) / (opposite - best)
                attempt = (
                    -f_best
                    * (f_opposite * to_opposite - f_before * to_before)
                    / (to_opposite * to_before * (f_opposite - f_before))
                )
            if 2 * abs(attempt) < min(abs(previous), 3 * abs(half) - tolerance):
                previous, step = step, attempt
            else:
                previous = step = half
        else:
            previous = step = half
        before, f_before = best, f_best
        best += step if abs(step) > tolerance else (tolerance if half > 0 else -tolerance)
        f_best = function(best)
    raise RuntimeError(f"no root was found in {_STEPS} steps")
