"""Errors of tensors, summed up batch by batch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lfw_eval.metrics.tensor_error import TensorError, sqnr

VALUES = st.floats(-100, 100, width=32)


@given(arrays(np.float32, (5, 3, 2, 2), elements=VALUES), st.integers(1, 4), st.integers(0, 99))
def test_batches_give_what_all_at_once_does(reference, cut, seed):
    noise = np.random.default_rng(seed).normal(size=reference.shape).astype(np.float32)
    whole, parts = TensorError(), TensorError()
    whole.update(reference, reference + noise)
    for part in (slice(cut), slice(cut, None)):
        parts.update(reference[part], (reference + noise)[part])
    assert vars(parts).keys() == vars(whole).keys()
    assert parts.noise_to_signal == pytest.approx(whole.noise_to_signal, rel=1e-12)
    assert parts.cosine == pytest.approx(whole.cosine, abs=1e-12)
    assert parts.minimum == whole.minimum
    assert parts.images == 5
    np.testing.assert_array_equal(parts.amax, whole.amax)


def test_against_the_formulas():
    rng = np.random.default_rng(1)
    reference, noise = rng.normal(size=(2, 4, 6, 5, 5))
    candidate = reference + 0.1 * noise
    error = TensorError()
    error.update(reference, candidate)
    assert sqnr(error.noise_to_signal) == pytest.approx(
        10 * math.log10((reference**2).sum() / ((candidate - reference) ** 2).sum())
    )
    a, b = reference.reshape(4, -1), candidate.reshape(4, -1)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert error.cosine == pytest.approx(cosines.mean())
    assert error.minimum == pytest.approx(cosines.min())
    np.testing.assert_allclose(error.amax, np.abs(reference).max(axis=(0, 2, 3)), rtol=1e-6)


def test_equal_tensors_have_no_noise():
    error = TensorError()
    error.update(np.zeros((2, 3)), np.zeros((2, 3)))
    assert (error.cosine, error.noise_to_signal, error.spread) == (1, 0, 1)
    assert sqnr(error.noise_to_signal) == math.inf


def test_noise_without_a_signal():
    error = TensorError()
    error.update(np.zeros((1, 3)), np.ones((1, 3)))
    assert (error.cosine, error.noise_to_signal) == (0, math.inf)


def test_one_wide_channel_among_narrow_ones():
    reference = np.full((2, 5, 4), 0.5)
    reference[1, 3, 2] = -40
    error = TensorError()
    error.update(reference, reference)
    assert error.spread == 80


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        TensorError().update(np.ones((1, 2)), np.array([[1, bad]]))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        TensorError().update(np.ones((1, 2)), np.ones((1, 3)))
