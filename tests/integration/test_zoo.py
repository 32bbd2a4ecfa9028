"""Networks of every kind that users bring, converted, calibrated and run as they would be."""

import numpy as np
import pytest
from zoo import ZOO, write
from zoo_net import SIDE
from zoo_runs import ENGINES, NORMALISATION, embeddings, mean_cosine, original

import lfw_eval as le

# Where the original computes in float16, the suite computes its weights in float32.
OF_HALF = {"float16-weights", "float16-image-and-embedding"}
FAST = ("opset7", "names-of-the-suite", "axes", "vit-opset13")


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """32 coarse pictures of different contrast, uint8 (32, 32, 32, 3), with noise."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(0, 256, (32, 8, 8, 3)).repeat(SIDE // 8, 1).repeat(SIDE // 8, 2)
    noise = rng.uniform(0, 40, (32, SIDE, SIDE, 3))
    return (coarse * rng.uniform(0.2, 1, (32, 1, 1, 3)) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def checkpoints_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path))


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [] if name in FAST else [pytest.mark.slow]


@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in ZOO])
def test_as_the_original_in_fp32_and_near_it_in_int8(name, tmp_path, crops):
    path = write(name, tmp_path)
    expected = original(path, crops)
    # Embeddings differ by image, or a cosine near 1 would say nothing.
    centre = expected.mean(axis=0)
    assert np.std(expected - centre) > 0.15 * np.sqrt(np.square(expected).mean())
    tolerance = 5e-3 if name in OF_HALF else 1e-5
    for engine in ENGINES:
        got = embeddings(path, crops, engine)
        np.testing.assert_allclose(
            got, expected, atol=tolerance * np.abs(expected).max(), rtol=0, err_msg=engine
        )
    scales = le.calibrate(path, crops, normalisation=NORMALISATION)
    for engine in ENGINES:
        got = embeddings(path, crops, engine, precision="int8", scales=scales)
        assert not np.array_equal(got, embeddings(path, crops, engine)), engine
        assert mean_cosine(got, expected) >= 0.99, engine
        # What tells images apart, without what all of them share: 0.994 at the least here.
        assert mean_cosine(got - centre, expected - centre) >= 0.98, engine
