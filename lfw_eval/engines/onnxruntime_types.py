"""The types and times in the graph that ONNX Runtime makes of a network."""

import json
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import onnx
import onnxruntime

from lfw_eval.engines.contract import Batch
from lfw_eval.engines.layer_times import TIMED_RUNS
from lfw_eval.engines.weighted_layers import WeightedLayer

_FATAL = 4
# Convolutions and matrix products of 8 bits, in ONNX and in ONNX Runtime's own operators.
_INTEGER = re.compile(r"QLinear(Conv|MatMul)|QGemm|(Conv|MatMul)Integer|MatMulIntegerToFloat")
# They write 8 bits under the name of what was rounded.
_WRITES_INTEGERS = re.compile(r"QLinear|QuantizeLinear|QGemm")
_PRODUCTS = re.compile(rf"{_INTEGER.pattern}|(Fused)?(Conv|ConvTranspose|Gemm|MatMul)")
# Appended to a node's name where it is made anew.
_RENAMED = re.compile(r"_token_\d+$")


def onnxruntime_types(
    network: onnx.ModelProto, layers: Collection[WeightedLayer]
) -> dict[str, str]:
    """Return in which type each layer runs on the CPU, by its name: "int8" or "float32".

    Args:
        network: What the session is made of; inputs and outputs of its layers may be renamed.
    """
    integer: set[str] = set()
    operators = {node.op_type for node in network.graph.node}
    if "DequantizeLinear" in operators or any(map(_INTEGER.fullmatch, operators)):
        for node in _optimised(network).graph.node:
            if _INTEGER.fullmatch(node.op_type):
                integer.update((_RENAMED.sub("", node.name), *node.output))
    return {
        layer.name: "int8" if integer & {layer.name, layer.output} else "float32"
        for layer in layers
    }


def onnxruntime_tensors(network: onnx.ModelProto) -> frozenset[str]:
    """Return the tensors in floating point that are left in the graph which a session runs."""
    nodes = _optimised(network).graph.node
    floating = (node for node in nodes if not _WRITES_INTEGERS.match(node.op_type))
    return frozenset(_RENAMED.sub("", name) for node in floating for name in node.output)


def onnxruntime_times(
    network: onnx.ModelProto, layers: Collection[WeightedLayer], batch: Batch
) -> dict[str, float]:
    """Return the milliseconds that each layer takes of a batch, by its name; some may be missing.

    Args:
        network: What the session is made of.
    """
    with tempfile.TemporaryDirectory(prefix="lfw-eval-") as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            network.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for _ in range(TIMED_RUNS):
            session.run(None, dict(batch))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    microseconds: dict[str, float] = {}
    for event in events:
        if _PRODUCTS.fullmatch(event.get("args", {}).get("op_name", "")):
            name = _RENAMED.sub("", event["name"].removesuffix("_kernel_time"))
            name = name.removesuffix("_nchwc")
            microseconds[name] = microseconds.get(name, 0) + event["dur"]
    times = {}
    for layer in layers:
        names = (layer.name, *_merged_names(network, layer.output))
        total = next((microseconds[name] for name in names if name in microseconds), None)
        if total is not None:
            times[layer.name] = total / 1000 / TIMED_RUNS
    return times


def _merged_names(network: onnx.ModelProto, tensor: str) -> Iterator[str]:
    """Yield a layer's output, and the nodes after it: the last one merged into it names both."""
    yield tensor
    readers = {name: node for node in network.graph.node for name in node.input}
    while tensor in readers and not _PRODUCTS.fullmatch(readers[tensor].op_type):
        yield readers[tensor].name
        tensor = readers[tensor].output[0]


def _optimised(network: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that a session runs, which it writes only to a file."""
    with tempfile.TemporaryDirectory(prefix="lfw-eval-") as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        # It warns that the file is for this machine alone.
        options.log_severity_level = _FATAL
        onnxruntime.InferenceSession(
            network.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return onnx.load(options.optimized_model_filepath, load_external_data=False)
