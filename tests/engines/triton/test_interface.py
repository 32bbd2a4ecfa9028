"""What a deployed model takes, computed from crops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lfw_eval.engines.contract import TensorSpec
from lfw_eval.engines.triton.interface import crop_conversion


@given(layout=st.sampled_from(["nchw", "nhwc"]), seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_normalises_as_the_network_would(network, layout, seed):
    crops = np.random.default_rng(seed).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)
    shape = (-1, 3, 160, 160) if layout == "nchw" else (-1, -1, -1, 3)
    convert = crop_conversion([TensorSpec("image", shape, "float32")], network, "per-image")
    values = crops.astype(np.float64)
    deviation = np.maximum(values.std(axis=(1, 2, 3)), 1 / np.sqrt(76800))
    wanted = (values - values.mean(axis=(1, 2, 3), keepdims=True)) / deviation[:, None, None, None]
    normalised = convert(crops)
    assert normalised.dtype == np.float32
    if layout == "nchw":
        normalised = normalised.transpose(0, 2, 3, 1)
    # In float32, whose rounding is 2^-24 of a value. Crops add up to less than 2^24, so exactly,
    # and the mean, at most 255, is rounded once: 2^-17 before the division. Adding n squares one
    # after another drifts as a random walk, sqrt(n) roundings of the variance, half of that in its
    # root: four times as much is allowed.
    rounding = 2.0**-24
    drift = 4 * np.sqrt(crops[0].size) / 2 * rounding
    np.testing.assert_allclose(normalised, wanted, rtol=drift, atol=2 * 2**-17 / deviation.min())
