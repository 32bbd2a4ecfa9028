import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from calibration.entropy import BINS, LEVELS, entropy_amax


def divergence(counts: np.ndarray, last: int) -> float:
    """KL(P || Q) of the first `last` bins, straight from the published description."""
    reference = counts[:last].copy()
    reference[-1] += counts[last:].sum()
    candidate = np.zeros(last)
    level = np.arange(last) * LEVELS // last
    for number in range(LEVELS):
        filled = (level == number) & (counts[:last] > 0)
        if filled.any():
            candidate[filled] = counts[:last][level == number].sum() / filled.sum()
    return entropy(reference, candidate)


def naive(counts: np.ndarray, amax: float) -> float:
    counts = counts.copy()
    counts[0] = counts[1]
    divergences = [divergence(counts, last) for last in range(LEVELS, BINS + 1)]
    return amax * (LEVELS + int(np.argmin(divergences))) / BINS


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["normal", "laplace", "relu", "sparse"]))
def test_equals_the_published_description(seed, kind):
    rng = np.random.default_rng(seed)
    sample = {
        "normal": lambda: rng.normal(size=20_000),
        "laplace": lambda: rng.laplace(size=20_000),
        "relu": lambda: np.maximum(rng.normal(size=20_000), 0),
        "sparse": lambda: rng.pareto(2, size=500),
    }[kind]()
    amax = np.abs(sample).max()
    counts = np.histogram(np.abs(sample), BINS, (0, amax))[0].astype(np.float64)
    assert entropy_amax(counts, amax) == pytest.approx(naive(counts, amax), rel=2e-3)


def test_a_far_outlier_is_clipped():
    counts = np.zeros(BINS)
    counts[:256] = np.linspace(1000, 10, 256)
    counts[-1] = 1
    assert entropy_amax(counts, 8.0) < 8.0 * 300 / BINS


def test_an_even_spread_is_kept_whole():
    assert entropy_amax(np.full(BINS, 10.0), 3.0) == pytest.approx(3.0, rel=0.07)


def test_only_zeros():
    counts = np.zeros(BINS)
    counts[0] = 99
    assert entropy_amax(counts, 0.0) == 0.0
