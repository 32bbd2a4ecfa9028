"""The types in a plan, as TensorRT's engine inspector reports them."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from types import ModuleType
from typing import Any

from lfw_eval.engines.weighted_layers import WeightedLayer

# A layer of a plan is named after all that was fused into it, and from 8.6 on lists it as well.
_FUSED = re.compile(r" \+ | \|\| ")
_ONNX_LAYER = re.compile(r"\[ONNX Layer: (.*?)\](?=\x1e|$|,|\s)")
# Layers that move, convert or hold values, whatever they are named after.
_IDLE = ("Reformat", "NoOp", "Constant", "Scale", "Shuffle", "Cast", "PointWise", "Quantize")
_WORDS = {
    "int8": "int8",
    "uint8": "int8",
    "fp8": "float8",
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp16": "float16",
    "half": "float16",
    "fp32": "float32",
    "float": "float32",
}


def inspected_layers(trt: ModuleType, engine: Any) -> list[Mapping[str, Any]]:
    """Return the layers of a deserialised plan; none where it was built without their details."""
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        layers = json.loads(text).get("Layers", [])
    except ValueError:
        return []
    return [layer for layer in layers if isinstance(layer, dict)]


def tensorrt_types(
    inspected: Collection[Mapping[str, Any]], layers: Collection[WeightedLayer]
) -> dict[str, str]:
    """Return in which type each layer runs, by its name; layers that are not found are missing.

    The type is that of the weights, or of the first input where the plan has no weights beside it.
    """
    wanted = {layer.name for layer in layers}
    types: dict[str, str] = {}
    for item in inspected:
        if str(item.get("LayerType", "")).startswith(_IDLE):
            continue
        kind = _type_of(item)
        for name in _names(item):
            if kind and name in wanted:
                types[name] = kind
    return types


def _names(item: Mapping[str, Any]) -> Iterator[str]:
    yield from _ONNX_LAYER.findall(str(item.get("Metadata", "")))
    yield from _FUSED.split(str(item.get("Name", "")))


def _type_of(item: Mapping[str, Any]) -> str | None:
    weights = item.get("Weights")
    if isinstance(weights, dict) and weights.get("Count"):
        return _word(str(weights.get("Type")))
    inputs = item.get("Inputs") or [{}]
    return _word(str(inputs[0].get("Format/Datatype", "")))


def _word(text: str) -> str | None:
    return next((_WORDS[word] for word in re.findall(r"\w+", text.lower()) if word in _WORDS), None)
