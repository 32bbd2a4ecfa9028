"""The types in a plan, as TensorRT's engine inspector reports them."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lfw_eval.checkpoints.half import SUFFIX as HALF
from lfw_eval.engines.weighted_layers import WeightedLayer

RECIPE = 1
"""Of `tensorrt_types` and the layers it takes: raise it when it would say others of a plan."""

# A layer of a plan is named after all that was fused into it, and lists it as "[ONNX Layer: …]".
_FUSED = re.compile(r" \+ | \|\| ")
_LISTED = re.compile(r"\[ONNX Layer: (.*?)\](?=\[ONNX Layer: |[^\]]*$)")
# What Myelin compiles as one has the name of its first and of its last layer, where the first may
# be the constant of some weights.
_REGION = re.compile(r"\{ForeignNode\[(.*)\]\}")
# What the output of a DequantizeLinear node is called, by us, ONNX Runtime and PyTorch.
_DEQUANTIZED = re.compile("dequantize", re.IGNORECASE)
# Layers that move, convert or activate values of the layers that they are named after.
_IDLE = ("Reformat", "NoOp", "Constant", "Scale", "Shuffle", "Cast", "PointWise", "Quantize")
_TYPES = {
    "int8": "int8",
    "fp8": "float8",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "half": "float16",
    "fp16": "float16",
    "float": "float32",
    "fp32": "float32",
}
# What kernels are called that multiply in a type: "…_i8i8_i8i32_…", "…_f16f16_f16f16_…".
_KERNELS = (
    (re.compile(r"_i8|_s8|int8"), "int8"),
    (re.compile(r"_e4m3"), "float8"),
    (re.compile(r"_bf16"), "bfloat16"),
    (re.compile(r"_f16|_h\d"), "float16"),
    (re.compile(r"_f32|_tf32|_s\d|fp32"), "float32"),
)


def inspected_layers(text: str) -> list[Mapping[str, Any]]:
    """Return the layers in the inspector's JSON; none where the plan has no details of them."""
    try:
        # TensorRT separates the layers in a layer's metadata by a control character, unescaped.
        layers = json.loads(text, strict=False).get("Layers", [])
    except (ValueError, AttributeError):
        return []
    return [layer for layer in layers if isinstance(layer, dict)]


def tensorrt_types(
    inspected: Collection[Mapping[str, Any]],
    layers: Collection[WeightedLayer],
    floating: str | None = None,
) -> dict[str, str]:
    """Return in which type each layer runs, by its name; layers that are not found are missing.

    Args:
        inspected: The layers of the plan, which say the type of their weights, or failing that of
            their first input or in the name of their kernel.
        layers: Those of the network.
        floating: The only type of floating point that the plan may use; None where there are more.
    """
    wanted = {layer.name for layer in layers}
    types: dict[str, str] = {}
    for item in inspected:
        if str(item.get("LayerType", "")).startswith(_IDLE):
            continue
        kind = _type_of(item)
        for name in _names(item):
            if kind and name in wanted:
                types.setdefault(name, kind)
    for item in inspected:
        ends = _ends(item)
        kind = _type_of_region(item, floating) if ends else None
        for weighted in layers:
            if kind and ends & {weighted.name, *weighted.constants}:
                types.setdefault(weighted.name, kind)
    return types


def tensorrt_tensors(inspected: Collection[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the tensors that layers of a plan write."""
    outputs = (written for item in inspected for written in item.get("Outputs") or [])
    return frozenset(str(written.get("Name")).removesuffix(HALF) for written in outputs)


def tensorrt_times(
    inspected: Collection[Mapping[str, Any]],
    times: Mapping[str, float],
    layers: Collection[WeightedLayer],
) -> dict[str, float]:
    """Return the time of each layer, by its name; layers that are not found are missing.

    What TensorRT runs as one is shared out by multiply-adds.

    Args:
        inspected: As of `tensorrt_types`.
        times: By the name of the layer of the plan.
        layers: Those of the network.
    """
    shares: dict[str, float] = {}
    for item in inspected:
        time = times.get(str(item.get("Name")))
        if time is None or str(item.get("LayerType", "")).startswith(_IDLE):
            continue
        names = {*_names(item)}
        parts = [weighted for weighted in layers if weighted.name in names]
        whole = sum(part.multiply_adds for part in parts)
        for part in parts:
            share = part.multiply_adds / whole if whole else 1 / len(parts)
            shares[part.name] = shares.get(part.name, 0) + time * share
    return shares


def _names(item: Mapping[str, Any]) -> Iterator[str]:
    for part in str(item.get("Metadata", "")).split("\x1e"):
        yield from _LISTED.findall(part)
    yield from _FUSED.split(str(item.get("Name", "")))


def _ends(item: Mapping[str, Any]) -> set[str]:
    """Return the names of a region's first and last layer; none of another layer."""
    region = _REGION.fullmatch(str(item.get("Name", "")))
    if not region:
        return set()
    return {name for end in region[1].split("...") for name in _FUSED.split(end)}


def _type_of_region(item: Mapping[str, Any], floating: str | None) -> str | None:
    """Return the type of a region's products, if its inputs tell.

    Of integers they do not: the region may turn them into floating point before it multiplies.
    """
    inputs = item.get("Inputs") or []
    kinds = {_word(str(read.get("Format/Datatype", ""))) for read in inputs}
    if kinds == {None} and all(_DEQUANTIZED.search(str(read.get("Name"))) for read in inputs):
        return floating
    (kind,) = kinds if len(kinds) == 1 else (None,)
    return None if kind == "int8" else kind


def _type_of(item: Mapping[str, Any]) -> str | None:
    weights = item.get("Weights")
    if isinstance(weights, dict) and weights.get("Count"):
        return _word(str(weights.get("Type")))
    inputs = item.get("Inputs") or [{}]
    # Where the batch is not known yet this is "N/A due to dynamic shapes".
    kind = _word(str(inputs[0].get("Format/Datatype", "")))
    kernel = str(item.get("TacticName", ""))
    return kind or next((name for pattern, name in _KERNELS if pattern.search(kernel)), None)


def _word(text: str) -> str | None:
    return next((_TYPES[word] for word in re.findall(r"\w+", text.lower()) if word in _TYPES), None)
