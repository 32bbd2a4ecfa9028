"""Networks that users could not evaluate: small files that lie beside the real data, if there."""

import os
from pathlib import Path

import numpy as np
import pytest
from command import REPOSITORY
from zoo_runs import ENGINES, NORMALISATION, embeddings, mean_cosine, original

import lfw_eval as le
from lfw_eval.checkpoints.checkpoint import open_checkpoint

pytestmark = pytest.mark.slow

REAL_DATA = Path(os.environ.get("LFW_EVAL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
CASES = REAL_DATA.parent / "cases"
# Their 16-bit arithmetic becomes float32.
OF_HALF = {"fp16w", "fp16io"}
REFUSED = {"bn_training": "training mode"}
QUANTIZED = {"already_qdq"}
NETWORKS = sorted(path.stem for path in CASES.glob("*.onnx"))
FLOATING = [name for name in NETWORKS if name not in REFUSED.keys() | QUANTIZED]

if not NETWORKS:
    pytest.skip(f"there are no networks in {CASES}", allow_module_level=True)


@pytest.fixture(autouse=True)
def checkpoints_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path))


@pytest.mark.parametrize("name", FLOATING)
def test_as_the_original_in_fp32_and_near_it_in_int8(name, crops):
    path, few = CASES / f"{name}.onnx", crops[:16]
    expected = original(path, few)
    tolerance = (5e-3 if name in OF_HALF else 1e-5) * np.abs(expected).max()
    scales = le.calibrate(path, few, normalisation=NORMALISATION)
    for engine in ENGINES:
        got = embeddings(path, few, engine)
        np.testing.assert_allclose(got, expected, atol=tolerance, rtol=0, err_msg=engine)
        int8 = embeddings(path, few, engine, precision="int8", scales=scales)
        assert not np.array_equal(got, int8), engine
        assert mean_cosine(int8, expected) >= 0.99, engine


@pytest.mark.parametrize("name", [name for name in NETWORKS if name in REFUSED])
def test_refused_in_one_sentence_that_says_why(name):
    path = CASES / f"{name}.onnx"
    with pytest.raises(le.UserError, match=REFUSED[name]) as error:
        open_checkpoint(str(path), NORMALISATION)
    assert path.name in error.value.problem
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name in QUANTIZED])
def test_a_quantised_network_runs_as_it_is(name, crops):
    path, few = CASES / f"{name}.onnx", crops[:16]
    assert open_checkpoint(str(path), NORMALISATION).quantization == "Q/DQ"
    for engine in ENGINES:
        got = embeddings(path, few, engine, precision="int8")
        assert mean_cosine(got, original(path, few)) >= 0.99, engine
    with pytest.raises(le.UserError, match="already quantised"):
        le.calibrate(path, few, normalisation=NORMALISATION)
