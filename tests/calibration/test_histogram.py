from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calibration.histogram import (
    BINS,
    Histogram,
    load_histograms,
    merge_histograms,
    save_histograms,
)

values = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=2, max_side=40),
    elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)
references = st.floats(2.0**-20, 1e4, width=32)


def histogram(reference: float, *arrays: np.ndarray) -> Histogram:
    counted = Histogram(reference)
    for array in arrays:
        counted.update(array)
    return counted


def equal(a: Histogram, b: Histogram) -> bool:
    same = (a.reference, a.exponent, a.amax) == (b.reference, b.exponent, b.amax)
    return same and np.array_equal(a.counts, b.counts)


@given(references, st.lists(values, min_size=1, max_size=5), st.randoms())
def test_same_counts_in_any_order_and_split(reference, arrays, random):
    whole = histogram(reference, *arrays)
    random.shuffle(arrays)
    cut = random.randint(0, len(arrays))
    split = histogram(reference, *arrays[:cut]).merge(histogram(reference, *arrays[cut:]))
    assert equal(whole, histogram(reference, *arrays))
    assert equal(whole, split)


@given(references, values)
def test_counts_are_those_of_numpy(reference, array):
    counted = histogram(reference, array)
    assert counted.counts.sum() == array.size
    assert counted.amax == np.abs(array).max() or counted.exponent is None
    if counted.exponent is not None:
        span = reference * 2.0**counted.exponent
        assert span / 2 < counted.amax <= span
        # Values on an edge may fall to either side of it by float32's rounding.
        exact = np.abs(array).astype(np.float64).ravel() / counted.width
        shares = counted.counts.cumsum()
        for bin_number in np.unique(exact.astype(int)):
            below = (exact < bin_number + 1 - 1e-3).sum()
            assert below <= shares[min(bin_number, BINS - 1)] <= (exact < bin_number + 1.001).sum()


def test_the_range_doubles_and_bins_merge_in_pairs():
    counted = histogram(1.0, np.float32([0.1, 0.9, 1.0]))
    assert (counted.exponent, counted.counts[-1]) == (0, 1)
    counted.update(np.float32([1.51, -3.9]))
    assert counted.exponent == 2
    expected = [0.1, 0.9, np.nextafter(1.0, 0), 1.51, 3.9]
    np.testing.assert_array_equal(
        np.flatnonzero(counted.counts), [int(x / 4 * BINS) for x in expected]
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_is_not_finite(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        histogram(1.0, np.float32([1, bad]))


def test_a_first_batch_of_zeros():
    counted = histogram(0.0, np.zeros(7, np.float32))
    assert (counted.exponent, counted.amax, counted.counts[0]) == (None, 0.0, 7)
    counted.update(np.float32([0.3]))
    assert (counted.exponent, counted.counts.sum()) == (-1, 8)


def test_counts_beyond_float32_whole_numbers():
    ones = np.ones(2**24 + 3, dtype=np.float32)
    assert histogram(1.0, ones).counts.max() == 2**24 + 3


def test_other_references_do_not_merge():
    with pytest.raises(ValueError, match="references 1 and 2"):
        Histogram(1.0).merge(Histogram(2.0))
    with pytest.raises(ValueError, match="different tensors"):
        merge_histograms({"a": Histogram(1.0)}, {"b": Histogram(1.0)})


def test_saved_histograms_come_back(tmp_path):
    histograms = {
        "a b:c": histogram(3.0, np.float32([1, 2, 3])),
        "zero": histogram(0, np.zeros(4, np.float32)),
    }
    save_histograms(tmp_path / "h.npz", histograms, 12)
    loaded, crops = load_histograms(tmp_path / "h.npz")
    assert crops == 12
    assert all(equal(histograms[name], loaded[name]) for name in histograms)


def part(seed: int) -> Histogram:
    sample = np.random.default_rng(seed).standard_t(3, 5000)
    return histogram(4.0, sample.astype(np.float32))


@pytest.mark.slow
def test_processes_make_the_same_counts():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        first, second, third = pool.map(part, range(3))
    assert equal(third.merge(first).merge(second), first.merge(second.merge(third)))
    sample = [np.random.default_rng(n).standard_t(3, 5000).astype(np.float32) for n in range(3)]
    assert equal(first.merge(second).merge(third), histogram(4.0, *sample))


def test_minus_infinity_of_masks_is_left_out():
    values = np.array([1, -2, 0.5], np.float32)
    masked, plain = Histogram(2.0), Histogram(2.0)
    masked.update(np.array([-np.inf, 1, -np.inf, -2, 0.5], np.float32))
    masked.update(np.full(3, -np.inf, np.float32))
    plain.update(values)
    np.testing.assert_array_equal(masked.counts, plain.counts)
    assert masked.amax == plain.amax == 2
