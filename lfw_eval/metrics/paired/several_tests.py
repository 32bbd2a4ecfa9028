"""Several tests that share one chance of a false alarm."""

from collections.abc import Sequence


def shared_level(p_values: Sequence[float], significance: float) -> float:
    """Return the level of every test by Holm's step-down procedure.

    The p-values at or below it are rejected, and are those that the procedure rejects: the smallest
    of m is tested at a share of 1/m, the next at 1/(m - 1), until one is not rejected. The chance
    of any false rejection is at most the significance, however the tests depend on each other
    (Holm 1979, "A simple sequentially rejective multiple test procedure").

    Args:
        p_values: Of each test.
        significance: Of all tests together.
    """
    remaining = len(p_values)
    for p_value in sorted(p_values)[:-1]:
        if p_value > significance / remaining:
            break
        remaining -= 1
    return significance / remaining
