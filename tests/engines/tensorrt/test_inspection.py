"""The types in a plan, read from what TensorRT 8.6's engine inspector writes."""

import json
from types import SimpleNamespace

import pytest

from lfw_eval.engines.tensorrt.inspection import inspected_layers, tensorrt_types
from lfw_eval.engines.weighted_layers import WeightedLayer

INT8 = "Thirty-two wide channel vectorized row major Int8 format"
HALF = "Channel major FP16 format where channel % 8 == 0"
FLOAT = "Row major linear FP32"


def item(kind: str, name: str, inputs: str, weights: str | None = None, **more: str) -> dict:
    """A layer as the inspector describes it, its tactic and shapes left out."""
    layer = {
        "Name": name,
        "LayerType": kind,
        "Inputs": [{"Name": "x", "Format/Datatype": inputs}],
        "Outputs": [{"Name": "y", "Format/Datatype": inputs}],
        **more,
    }
    if weights:
        layer["Weights"] = {"Type": weights, "Count": 9408}
    return layer


def layers(*names: str) -> list[WeightedLayer]:
    return [WeightedLayer(name, f"{name}.out", 10, quantized=True) for name in names]


def test_fused_and_merged_layers():
    plan = [
        item("Reformat", "Reformatting CopyNode for Input Tensor 0 to stem + relu", FLOAT),
        item("CaskConvolution", "stem + relu", INT8, "Int8"),
        item("CaskConvolution", "left || right", HALF, "Half"),
        item("CaskGemmMatrixMultiply", "dense", FLOAT),
        item("NoOp", "gone", INT8),
    ]
    expected = {"stem": "int8", "left": "float16", "right": "float16", "dense": "float32"}
    assert tensorrt_types(plan, layers(*expected, "gone")) == expected


def test_layers_of_the_network_that_a_region_lists():
    """A region that Myelin compiles has no layer's name, but lists them."""
    region = "[ONNX Layer: stem]\x1e[ONNX Layer: stem.w.dequantized]\x1e[ONNX Layer: dense]"
    plan = [item("Myelin", "{ForeignNode[stem...dense]}", HALF, Metadata=region)]
    assert tensorrt_types(plan, layers("stem", "dense", "other")) == {
        "stem": "float16",
        "dense": "float16",
    }


def test_qdq_nodes_in_front():
    name = "stem.w + stem.w.quantized + stem + relu"
    plan = [
        item("Scale", "stem.quantized", FLOAT),
        item("CaskConvolution", name, INT8, "Int8"),
    ]
    assert tensorrt_types(plan, layers("stem")) == {"stem": "int8"}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (json.dumps({"Layers": [item("CaskConvolution", "stem", INT8)]}), 1),
        (json.dumps({"Layers": ["stem", "dense"]}), 0),
        (json.dumps({}), 0),
        ("", 0),
    ],
)
def test_a_plan_without_details(text, count):
    inspector = SimpleNamespace(get_engine_information=lambda form: text)
    engine = SimpleNamespace(create_engine_inspector=lambda: inspector)
    trt = SimpleNamespace(LayerInformationFormat=SimpleNamespace(JSON="json"))
    assert len(inspected_layers(trt, engine)) == count
