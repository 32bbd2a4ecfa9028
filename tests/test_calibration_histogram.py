import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calibration.histogram import FINE_BINS, Histogram, load_histograms, save_histograms

values = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=2, max_side=40),
    elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
)


def histogram(*arrays: np.ndarray) -> Histogram:
    made = Histogram()
    for array in arrays:
        made.update(array)
    return made


def equal(a: Histogram, b: Histogram) -> bool:
    same = a.exponent == b.exponent and a.amax == b.amax
    return same and np.array_equal(a.counts, b.counts)


@given(st.lists(values, min_size=1, max_size=5), st.randoms())
def test_same_counts_in_any_order_and_split(arrays, random):
    whole = histogram(*arrays)
    random.shuffle(arrays)
    cut = random.randint(0, len(arrays))
    split = histogram(*arrays[:cut]).merge(histogram(*arrays[cut:]))
    assert equal(whole, histogram(*arrays))
    assert equal(whole, split)


@given(values)
def test_counts_are_those_of_numpy(array):
    made = histogram(array)
    assert made.counts.sum() == array.size
    assert made.amax == np.abs(array).max()
    if made.exponent is not None:
        assert 2.0**made.exponent / 2 <= made.amax < 2.0**made.exponent
        width = 2.0**made.exponent / FINE_BINS
        bins = np.floor(np.abs(array).astype(np.float64) / width).astype(int)
        np.testing.assert_array_equal(made.counts, np.bincount(bins.ravel(), minlength=FINE_BINS))


@given(values)
def test_linear_keeps_the_total_and_the_shape(array):
    made = histogram(array)
    linear = made.linear(64)
    assert linear.sum() == pytest.approx(array.size)
    assert (linear >= 0).all()


def test_linear_resolves_bins():
    made = histogram(np.repeat(np.float32([0.15, 0.55, 1.0]), [5, 3, 2]))
    np.testing.assert_allclose(made.linear(10)[[1, 5, 9]], [5, 3, 2], atol=0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        histogram(np.float32([1, bad]))


def test_counts_beyond_float32_whole_numbers():
    ones = np.ones(2**24 + 3, dtype=np.float32)
    assert histogram(ones).counts.max() == 2**24 + 3


def test_saved_histograms_come_back(tmp_path):
    kept = {"a b:c": histogram(np.float32([1, 2, 3])), "zero": histogram(np.zeros(4, np.float32))}
    save_histograms(tmp_path / "h.npz", kept, 12)
    loaded, crops = load_histograms(tmp_path / "h.npz")
    assert crops == 12
    assert all(equal(kept[name], loaded[name]) for name in kept)
