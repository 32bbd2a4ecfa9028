import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from calibration.entropy import LEVELS, entropy_threshold
from calibration.histogram import BINS, Histogram
from calibration.thresholds import (
    METHODS,
    mse_threshold,
    outlier_threshold,
    percentile_threshold,
)

SAMPLES = {
    "normal": lambda rng: rng.normal(size=20_000),
    "laplace": lambda rng: rng.laplace(size=20_000),
    "relu": lambda rng: np.maximum(rng.normal(size=20_000), 0),
    "sparse": lambda rng: rng.pareto(2, size=500),
}


def histogram_of(sample: np.ndarray) -> Histogram:
    histogram = Histogram(float(np.float32(np.abs(sample).max() / 1.3)))
    histogram.update(sample.astype(np.float32))
    return histogram


def from_counts(counts: np.ndarray, amax: float) -> Histogram:
    return Histogram(amax, counts.astype(np.int64), 0, amax)


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


def naive(histogram: Histogram) -> float:
    counts = histogram.counts.astype(np.float64)
    counts[0] = counts[1]
    divergences = [divergence(counts, last) for last in range(LEVELS, BINS + 1)]
    return histogram.width * (LEVELS + int(np.argmin(divergences)) + 0.5)


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(SAMPLES)))
def test_entropy_equals_the_published_description(seed, kind):
    histogram = histogram_of(SAMPLES[kind](np.random.default_rng(seed)))
    assert entropy_threshold(histogram) == pytest.approx(naive(histogram), rel=2e-3)


def test_entropy_clips_a_far_outlier():
    counts = np.zeros(BINS)
    counts[:256] = np.linspace(1000, 10, 256)
    counts[-1] = 1
    assert entropy_threshold(from_counts(counts, 8.0)) < 8.0 * 300 / BINS


def test_entropy_keeps_an_even_spread_whole():
    assert entropy_threshold(from_counts(np.full(BINS, 10), 3.0)) == pytest.approx(3.0, rel=0.07)


def test_entropy_of_a_constant_is_half_a_bin_more():
    """As in a cache of TensorRT 8.6: 0.17004150 for a constant of 0.17."""
    histogram = Histogram(float(np.float32(0.17)))
    histogram.update(np.full(1, 0.17, np.float32))
    assert entropy_threshold(histogram) == pytest.approx(0.17004150606, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_only_zeros_and_nothing_at_all(method):
    assert METHODS[method](Histogram(0.0)) == 0.0
    zeros = Histogram(0.0)
    zeros.update(np.zeros(9, np.float32))
    assert METHODS[method](zeros) == 0.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_tensor_scaled_has_its_threshold_scaled(method, kind):
    sample = SAMPLES[kind](np.random.default_rng(5))
    threshold = METHODS[method](histogram_of(sample))
    assert METHODS[method](histogram_of(sample * 8)) == pytest.approx(8 * threshold)
    assert 0 < threshold <= np.abs(sample).max() * 1.05


@pytest.mark.parametrize("kind", SAMPLES)
def test_percentile_is_that_of_numpy(kind):
    sample = np.abs(SAMPLES[kind](np.random.default_rng(6)))
    histogram = histogram_of(sample)
    expected = np.percentile(sample, 99.99, method="inverted_cdf")
    assert percentile_threshold(histogram) == pytest.approx(expected, abs=2 * histogram.width)


@pytest.mark.parametrize("kind", SAMPLES)
def test_mse_is_the_least_of_a_direct_search(kind):
    sample = np.abs(SAMPLES[kind](np.random.default_rng(7))).astype(np.float32)

    def error(threshold: float) -> float:
        step = threshold / 127
        levels = np.minimum(np.rint(sample / step), 127)
        return float(np.square(levels * step - sample).mean())

    lowest = error(mse_threshold(histogram_of(sample)))
    assert lowest <= 1.02 * min(error(t) for t in np.linspace(0.05, 1, 200) * sample.max())


def test_entropy_gives_way_where_it_clips_more_than_outliers():
    """A sigmoid's values, none near zero: a threshold below them all has a divergence of 0."""
    rng = np.random.default_rng(0)
    gates = histogram_of(1 / (1 + np.exp(-rng.normal(0, 0.3, 20_000))))
    assert entropy_threshold(gates) < 0.3
    assert outlier_threshold(gates) == mse_threshold(gates) > 0.6
    for sample in SAMPLES.values():
        histogram = histogram_of(sample(rng))
        assert outlier_threshold(histogram) == entropy_threshold(histogram)
