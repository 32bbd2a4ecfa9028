"""In which types the engines here really run a network, by what their runtimes report."""

import onnx
import pytest
from layered_network import MULTIPLY_ADDS, any_scales, layered_network

from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.registry import engine_class
from lfw_eval.engines.scales import Scales
from lfw_eval.engines.strict import require_int8
from lfw_eval.system.errors import UserError

FLOAT = {"fp32": ("float32",), "fp16": ("float16", "bfloat16", "float32")}


@pytest.fixture
def executed(tmp_path):
    path = tmp_path / "fp32.onnx"
    onnx.save(layered_network(), path)

    def build(engine, precision):
        scales = any_scales(layered_network())
        request = BuildRequest(path, "fixed", precision, scales, batch_size=8)
        return engine_class(engine).build(request, tmp_path / "engines")

    return build


@pytest.mark.parametrize(
    ("engine", "precision"), [("openvino", "fp32"), ("openvino", "fp16"), ("onnxruntime", "fp32")]
)
def test_a_float_engine_is_of_one_type(executed, engine, precision):
    with executed(engine, precision) as built:
        assert built.executed is not None
        ((kind, work),) = built.executed.by_type.items()
        assert kind in FLOAT[precision]
        assert (work.layers, work.multiply_adds) == (6, sum(MULTIPLY_ADDS.values()))
        assert not built.executed.not_int8


def test_openvino_runs_all_that_is_quantised_in_int8(executed):
    for state in ("compiled", "imported"):
        with executed("openvino", "int8") as built:
            assert built.executed is not None, state
            assert built.executed.of("int8").layers == 5
            assert built.executed.of("fp32").multiply_adds == MULTIPLY_ADDS["upsampled"]
            assert built.arithmetic.startswith("int8 and ")
            require_int8(built)


def test_onnx_runtime_falls_back_where_a_prelu_follows(executed):
    """Its output has no Q/DQ nodes of its own, so the convolution is computed in float32."""
    with executed("onnxruntime", "int8") as built:
        assert built.executed is not None
        assert built.executed.not_int8["depthwise"] == "float32"
        assert built.executed.of("int8").layers >= 2
        with pytest.raises(UserError, match=r"depthwise \(float32\).*cannot be told which types"):
            require_int8(built)


def test_an_engine_that_does_not_report(executed, tmp_path):
    with executed("dummy", "int8") as built:
        assert built.executed is None
        with pytest.raises(UserError, match="cannot be checked: dummy 1 does not report"):
            require_int8(built)


def test_a_strict_choice_checks_what_it_built(executed, tmp_path):
    path = tmp_path / "fp32.onnx"
    checkpoint = Checkpoint(
        name="layered",
        normalisation="fixed",
        model=path,
        folder=tmp_path,
        source_sha256="s",
    )
    scales = Scales(any_scales(layered_network()), None)
    EngineChoice("openvino", strict_precision=True).build(checkpoint, scales).close()
    with pytest.raises(UserError, match="dummy 1 does not report"):
        EngineChoice("dummy", strict_precision=True).build(checkpoint, scales)
