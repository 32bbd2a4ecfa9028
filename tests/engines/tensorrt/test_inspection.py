"""The types in a plan, read from what TensorRT 8.6's engine inspector writes."""

import json

import pytest

from lfw_eval.engines.tensorrt.inspection import (
    inspected_layers,
    tensorrt_tensors,
    tensorrt_times,
    tensorrt_types,
)
from lfw_eval.engines.weighted_layers import WeightedLayer

INT8 = "Thirty-two wide channel vectorized row major Int8 format"
HALF = "Channel major FP16 format where channel % 8 == 0"
FLOAT = "Row major linear FP32"
DYNAMIC = "N/A due to dynamic shapes"


def item(kind: str, name: str, inputs: str, weights: str | None = None, **more) -> dict:
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


def test_tensors_that_a_plan_has():
    made = [{"Name": "stem_relu", "Format/Datatype": INT8}, {"Name": "joined.half"}]
    plan = [item("CaskConvolution", "stem + relu", INT8, Outputs=made), {"Name": "no details"}]
    assert tensorrt_tensors(plan) == {"stem_relu", "joined"}


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


def test_what_8_6_says_of_a_gemm_and_of_its_bias():
    """Its name is of all that Q/DQ nodes and the parser put around it; a copy comes before it."""
    name = (
        "fc.w + fc.w.quantized + transpose_before_fc + fc + fc.b + (Unnamed Layer* 117) [Shuffle]"
    )
    plan = [
        item("NoOp", f"Reformatting CopyNode for Input Tensor 0 to {name}", DYNAMIC),
        item("CaskConvolution", name, DYNAMIC, "Int8", Metadata="[ONNX Layer: fc]"),
        item("NoOp", "reshape_after_fc", DYNAMIC, Metadata="[ONNX Layer: fc]"),
        item("PointWiseV2", "PWN(fc_bias)", HALF, Metadata="[ONNX Layer: fc]"),
    ]
    assert tensorrt_types(plan, layers("fc")) == {"fc": "int8"}


REGION = "{ForeignNode[dense.kernel...(Unnamed Layer* 83) [ElementWise]]}"


def region(tensor: str, inputs: str = DYNAMIC, name: str = REGION) -> dict:
    """What TensorRT 8.6 makes of the last `Gemm` of a network with Q/DQ nodes."""
    read = [{"Name": tensor, "Format/Datatype": inputs}]
    return item("Myelin", name, inputs, Metadata="", Inputs=read)


@pytest.mark.parametrize(
    ("plan", "floating", "kind"),
    [
        # The layer itself is not named, its weights are; the types are not known.
        (region("flat.dequantized"), "float32", "float32"),
        (region("flat_DequantizeLinear_Output"), "float32", "float32"),
        (region("flat.dequantized"), None, None),
        # It may be INT8 or not inside.
        (region("flat.quantized"), "float32", None),
        (region("flat.quantized", INT8), "float32", None),
        (region("flat", HALF), None, "float16"),
        (region("flat", HALF, "{ForeignNode[embedding]}"), None, "float16"),
        (region("flat", HALF, "{ForeignNode[flat + x...embedding + y]}"), None, "float16"),
        (region("flat", HALF, "{ForeignNode[other...another]}"), None, None),
    ],
)
def test_a_region_that_myelin_compiles(plan, floating, kind):
    dense = WeightedLayer("embedding", "embedding", 10, True, ("dense.kernel",))
    before = item("Reformat", "flat.dequantized", DYNAMIC)
    types = tensorrt_types([before, plan], [dense], floating)
    assert types == ({"embedding": kind} if kind else {})


def test_a_layer_of_its_own_is_not_in_a_region_that_reads_its_weights():
    dense = WeightedLayer("dense", "dense", 10, True, ("dense.kernel",))
    plan = [region("flat", FLOAT), item("CaskConvolution", "dense", DYNAMIC, "Int8")]
    assert tensorrt_types(plan, [dense]) == {"dense": "int8"}


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("sm80_xmma_fprop_implicit_gemm_interleaved_i8f16_i8i32_f32_nchw_vect_c_32kcrs", "int8"),
        ("sm72_xmma_convolution_trt_depthwise_i8_conv_int8ncxhw32_int8ncxhw32_int8kcrs", "int8"),
        ("sm90_xmma_gemm_f16f16_f16f16_f16_tn_n_tilesize256x128x64", "float16"),
        ("sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize256x128x64", "bfloat16"),
        ("sm80_xmma_deconv_implicit_gemm_indexed_f32f32_tf32f32_f32_nhwckrsc_nhwc", "float32"),
        ("sm50_xmma_convolution_trt_depthwiseFP32NHWC4_fp32nhwcx4_fp32nhwcx4", "float32"),
        ("0x0000000000000000", None),
    ],
)
def test_the_kernel_tells_where_nothing_else_does(kernel, kind):
    plan = [item("Gemm", "product", DYNAMIC, TacticName=kernel)]
    assert tensorrt_types(plan, layers("product")) == ({"product": kind} if kind else {})


def test_names_with_brackets():
    listed = "[ONNX Layer: a[0]/conv]\x1e[ONNX Layer: a[1]/conv]"
    plan = [item("CaskConvolution", "merged", DYNAMIC, "Half", Metadata=listed)]
    expected = dict.fromkeys(("a[0]/conv", "a[1]/conv"), "float16")
    assert tensorrt_types(plan, layers(*expected)) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (json.dumps({"Layers": [item("CaskConvolution", "stem", INT8)]}), 1),
        # As TensorRT 8.6 writes it, with a control character that is not escaped.
        ('{"Layers": [{"Name": "a", "Metadata": "[ONNX Layer: a]\x1e[ONNX Layer: b]"}]}', 1),
        (json.dumps({"Layers": ["stem", "dense"]}), 0),
        (json.dumps({}), 0),
        ("[]", 0),
        ("", 0),
    ],
)
def test_a_plan_without_details(text, count):
    assert len(inspected_layers(text)) == count


def test_times_of_what_runs_as_one_are_shared():
    plan = [
        item("Reformat", "Reformatting CopyNode for Input Tensor 0 to stem + relu", FLOAT),
        item("CaskConvolution", "stem + relu", INT8, "Int8"),
        item("CaskConvolution", "left || right", HALF, "Half"),
        item("CaskConvolution", "unmeasured", HALF, "Half"),
        item("NoOp", "gone", INT8),
    ]
    times = {layer["Name"]: float(place + 1) for place, layer in enumerate(plan)}
    del times["unmeasured"]
    small, large = (WeightedLayer(n, n, c, True) for n, c in (("left", 10), ("right", 20)))
    network = [*layers("stem", "unmeasured", "gone"), small, large]
    assert tensorrt_times(plan, times, network) == {"stem": 2, "left": 1, "right": 2}
