"""The types and times in OpenVINO's execution graph."""

from collections.abc import Callable, Collection
from typing import TypeVar

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
_Fact = TypeVar("_Fact")


def openvino_types(
    compiled: openvino.CompiledModel, layers: Collection[WeightedLayer]
) -> dict[str, str]:
    """Return in which type each layer runs, by its name; layers that are not found are missing.

    Unsigned or signed 8 bits are "int8" here.
    """
    return _facts(compiled, layers, lambda about: _TYPES.get(_text(about, "runtimePrecision")))


def openvino_times(
    compiled: openvino.CompiledModel, layers: Collection[WeightedLayer]
) -> dict[str, float]:
    """Return the milliseconds that each layer takes, by its name; some may be missing.

    Args:
        compiled: With `PERF_COUNT`, run before; times are means over all runs.
    """

    def milliseconds(about: openvino.RTMap) -> float | None:
        text = _text(about, "execTimeMcs")
        return int(text) / 1000 if text.isdecimal() else None

    return _facts(compiled, layers, milliseconds)


def _facts(
    compiled: openvino.CompiledModel,
    layers: Collection[WeightedLayer],
    read: Callable[[openvino.RTMap], _Fact | None],
) -> dict[str, _Fact]:
    """Return a fact about each layer, by its name; layers that are not found are missing.

    An executed node has the names of all that was fused into it, and the type of its inputs.

    Args:
        read: Reads the fact from an executed node; None where it has none.
    """
    products: dict[str, _Fact] = {}
    others: dict[str, _Fact] = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        about = node.get_rt_info()
        fact = read(about)
        if fact is None:
            continue
        # A bias or an activation that was not fused has its layer's name too: products come first.
        into = products if _text(about, "layerType") in _PRODUCTS else others
        for name in _text(about, "originalLayersNames").split(","):
            into[name] = fact
    facts = {}
    for layer in layers:
        names = [name + part for name in (layer.name, layer.output) for part in _PARTS]
        fact = next((held[n] for held in (products, others) for n in names if n in held), None)
        if fact is not None:
            facts[layer.name] = fact
    return facts


def openvino_tensors(compiled: openvino.CompiledModel) -> frozenset[str]:
    """Return the names of the layers whose output exists: the last of what is fused into one."""
    nodes = compiled.get_runtime_model().get_ordered_ops()
    return frozenset(_text(n.get_rt_info(), "originalLayersNames").split(",")[-1] for n in nodes)


def _text(about: openvino.RTMap, name: str) -> str:
    return str(about[name].astype(str)) if name in about else ""
