"""The types in OpenVINO's execution graph."""

from collections.abc import Collection

import openvino

from lfw_eval.engines.weighted_layers import WeightedLayer

_PRODUCTS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")
_TYPES = {
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "i8": "int8",
    "u8": "int8",
}
# What OpenVINO appends to a layer's name where it splits its bias or scale off.
_PARTS = ("", "/WithoutBiases", "/WithoutBiases/DequantizationMultiply")


def openvino_types(
    compiled: openvino.CompiledModel, layers: Collection[WeightedLayer]
) -> dict[str, str]:
    """Return in which type each layer runs, by its name; layers that are not found are missing.

    An executed node has the names of all that was fused into it, and the type of its inputs:
    unsigned or signed 8 bits are "int8" here.
    """
    products: dict[str, str] = {}
    others: dict[str, str] = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        about = node.get_rt_info()
        kind = _TYPES.get(_text(about, "runtimePrecision"))
        if kind is None:
            continue
        # A bias or an activation that was not fused has its layer's name too: products come first.
        into = products if _text(about, "layerType") in _PRODUCTS else others
        for name in _text(about, "originalLayersNames").split(","):
            into[name] = kind
    types = {}
    for layer in layers:
        names = [name + part for name in (layer.name, layer.output) for part in _PARTS]
        kind = next((kinds[n] for kinds in (products, others) for n in names if n in kinds), None)
        if kind:
            types[layer.name] = kind
    return types


def openvino_tensors(compiled: openvino.CompiledModel) -> frozenset[str]:
    """Return the names of the layers whose output exists: the last of what is fused into one."""
    nodes = compiled.get_runtime_model().get_ordered_ops()
    return frozenset(_text(n.get_rt_info(), "originalLayersNames").split(",")[-1] for n in nodes)


def _text(about: openvino.RTMap, name: str) -> str:
    return str(about[name].astype(str)) if name in about else ""
