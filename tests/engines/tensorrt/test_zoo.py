"""Q/DQ networks of other kinds than FaceNet, built by TensorRT 11's builder without a GPU."""

import onnx
import pytest
from tensorrt_rig.builder import Builder
from zoo import write

from calibration.quantize import QdqTypes, quantize
from calibration.scales import ScaleTable, observed_tensors, with_pooled
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.normalisation import accept_crops

NAMES = (
    "axes", "dense-forms", "depthwise-prelu", "grouped-and-shuffled", "iresnet-se",
    "names-of-the-suite", "one-dimensional-convolution", "resnet", "shared-weights",
    "transposed-convolution", "vit-opset17", "vit-opset20",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_tensorrt_builds_it(name, builder: Builder, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    model = onnx.load(open_checkpoint(str(write(name, tmp_path)), "arcface").model)
    # The builder looks at types, not at values: any threshold will do.
    amax = with_pooled(model, dict.fromkeys(observed_tensors(model), 4.0))
    table = ScaleTable(amax, "minmax", "m", "i", 8)
    network = quantize(model, table, QdqTypes(unsigned=False))
    built = builder.build(accept_crops(network, "arcface"))
    assert built.plan_bytes, built.errors
