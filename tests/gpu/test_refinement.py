"""A refined network on a GPU: TensorRT takes its cache or Q/DQ nodes as those of any other."""

import onnx
import pytest

from calibration.sampler import CalibrationList
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.engines.choice import choose_engine
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.calibration import calibrate
from lfw_eval.pipelines.refinement import refine

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("quantization", ["cache", "qdq"])
def test_a_refined_network(quantization, network, crops, tmp_path):
    model = tmp_path / "fp32.onnx"
    onnx.save(network, model)
    checkpoint = Checkpoint("tiny", tmp_path, model, "per-image", "")
    images = CalibrationList(tuple(f"crops[{n}]" for n in range(len(crops))), "an array of crops")
    refined = refine(checkpoint, calibrate(checkpoint, crops, images))
    assert refined.refinement
    embeddings = []
    for precision, scales, options in (
        ("fp32", None, {}),
        ("int8", refined, {"quantization": quantization}),
    ):
        choice = choose_engine("tensorrt", precision, len(crops), **options)
        with choice.build(checkpoint, scales) as engine:
            embeddings.append(next(iter(engine.run({"crops": crops}).values())))
            assert engine.refinement == refined.recipe * (precision == "int8")
    # Three quarters of the crops are those that it was fitted on; TensorRT rounds elsewhere too.
    assert mean_cosine(*embeddings).value > refined.refinement.outcome.cosine - 0.002
