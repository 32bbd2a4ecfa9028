"""The calibrator beside a genuine TensorRT 8.6, on the crops that it was fed."""

import numpy as np
import pytest
from calibration_parity import explain, parity

from calibration.entropy import divergences, entropy_threshold
from calibration.histogram import BINS, Histogram


def test_thresholds_are_those_of_tensorrt(real_data, golden, facenet):
    comparison, _ = parity(golden, real_data / "lfw.tgz")
    assert comparison["tensors"] == 447
    assert comparison["named tensors of the cache that the network lacks"] == 0
    assert abs(comparison["median ratio"] - 1) < 1e-6
    # On the processor of the committed result these are 0.980 and 0.996.
    assert comparison["share within 0.01 %"] > 0.9
    assert comparison["share within 3 %"] > 0.97
    assert len(comparison["boxes rounded the other way"]) == 4


@pytest.fixture(scope="module")
def histogram():
    counted = Histogram(8.0)
    counted.update(np.random.default_rng(0).laplace(0, 1, 100_000).astype(np.float32))
    return counted


def test_a_tie_is_called_one_by_its_divergence(histogram):
    assert explain(histogram, entropy_threshold(histogram)).startswith("near tie: ")
    bins, values = divergences(histogram)
    excess = values / values.min() - 1
    threshold = (bins + 0.5) * histogram.width
    near, far = (np.flatnonzero((excess > a) & (excess < b))[0] for a, b in ((0, 0.01), (0.1, 0.2)))
    assert explain(histogram, threshold[near]).startswith("near tie: ")
    assert explain(histogram, threshold[far]).startswith("different: ")
    assert f"{excess[far]:.3%} more divergence" in explain(histogram, threshold[far])
    (empty,) = np.flatnonzero(~np.isfinite(excess))[:1]
    assert "a bin that is empty in our histogram" in explain(histogram, threshold[empty])


@pytest.mark.parametrize("bins", [0.5, 100, BINS + 1.5, 3 * BINS])
def test_a_threshold_that_our_histogram_has_not(histogram, bins):
    explained = explain(histogram, (bins + 0.5) * histogram.width)
    assert explained.startswith(f"not comparable: TensorRT's threshold is {bins:.0f} of our bins")
