"""The root of a function, beside SciPy's."""

import math
from collections.abc import Callable

import pytest
from scipy.optimize import brentq

from lfw_eval.metrics.root import root

FUNCTIONS: dict[str, tuple[Callable[[float], float], float, float]] = {
    "line": (lambda x: 3 * x - 1, 0.0, 1.0),
    "cubic": (lambda x: x**3 - 2 * x - 5, 2.0, 3.0),
    "steep": (lambda x: math.atan(1e6 * (x - 0.123)), -1.0, 1.0),
    "step": (lambda x: -1.0 if x < 0.7 else 1.0, 0.0, 1.0),
    "falling": (lambda x: math.exp(-x) - x, 0.0, 5.0),
    "root at an end": (lambda x: x, 0.0, 1.0),
    "root at the other": (lambda x: x - 1, 0.0, 1.0),
    "ends exchanged": (lambda x: x * x - 2, 2.0, 0.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_steps_are_those_of_scipy(name: str) -> None:
    function, low, high = FUNCTIONS[name]
    asked: tuple[list[float], list[float]] = [], []

    def noted(notes: list[float]) -> Callable[[float], float]:
        return lambda x: (notes.append(x), function(x))[1]

    assert root(noted(asked[0]), low, high) == brentq(noted(asked[1]), low, high)
    assert asked[0][2:] == asked[1][2:]


def test_the_same_sign_at_both_ends_is_refused() -> None:
    with pytest.raises(ValueError, match="same sign"):
        root(lambda x: x * x + 1, -1, 1)
