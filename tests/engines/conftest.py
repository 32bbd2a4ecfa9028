"""A folded network and its scales, which engines of several kinds are built from."""

import onnx
import pytest

from calibration.scales import ScaleTable
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.normalisation import accept_crops


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_facenet):
    path = tmp_path_factory.mktemp("model") / "fp32.onnx"
    onnx.save(fold_affine(tiny_facenet), path)
    return path


@pytest.fixture(scope="module")
def scales(model, crops, scale_table) -> ScaleTable:
    network = onnx.load(model)
    return scale_table(network, accept_crops(network, "per-image"), [{"crops": crops}])
