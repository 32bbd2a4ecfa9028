"""Run INT8 networks that any tool wrote on OpenVINO, as the suite runs its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
from numpy.typing import NDArray
from onnx import TensorProto, helper
from refine_cases import Case

from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.checkpoints.quantized import quantization_of
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import BuildRequest, Engine
from lfw_eval.engines.openvino import OpenVINOEngine
from lfw_eval.engines.store import StoredEngine
from lfw_eval.pipelines.windows import ROUNDS, batches_of, frames_per_second, in_turn
from lfw_eval.results.speed import FpsWindows, PairedSpeed
from lfw_eval.system.hardware import openvino_threads
from lfw_eval.system.machine_load import LoadMeter

BATCH = 64


def fp32_engine(case: Case, name: str = "openvino") -> Engine:
    """Return the case's network in FP32."""
    return EngineChoice(name, "fp32", BATCH).build(case.checkpoint)


def int8_engine(case: Case, file: Path, name: str = "openvino") -> Engine:
    """Return the engine of a quantised network that takes what the case's network takes.

    Args:
        file: ONNX, or OpenVINO's IR (.xml).
        name: Of the engine, for an ONNX file.
    """
    if file.suffix == ".xml":
        return _ir_engine(case, file)
    quantization = quantization_of(onnx.load(file), file.name)
    checkpoint = replace(case.checkpoint, model=file, quantization=quantization)
    return EngineChoice(name, "int8", BATCH).build(checkpoint)


def _ir_engine(case: Case, file: Path) -> OpenVINOEngine:
    core = openvino.Core()
    model = after(
        core.read_model(normalisation(case).SerializeToString()),
        core.read_model(file),
    )
    options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", options | openvino_threads())
    request = BuildRequest(case.checkpoint.model, case.checkpoint.normalisation, "int8")
    content = file.with_suffix(".bin").read_bytes()
    return OpenVINOEngine(compiled, file.stem, request, StoredEngine(file, content, {}))


def normalisation(case: Case) -> onnx.ModelProto:
    """Return the network from uint8 crops to what the case's network takes."""
    network = case.network()
    image = network.graph.input[0].name
    first = accept_crops(network, case.checkpoint.normalisation)
    nodes = first.graph.node
    end = next(place for place, node in enumerate(nodes) if image in node.output)
    read = {name for node in nodes[: end + 1] for name in node.input}
    constants = [tensor for tensor in first.graph.initializer if tensor.name in read]
    del nodes[end + 1 :], first.graph.initializer[:], first.graph.output[:]
    first.graph.initializer.extend(constants)
    first.graph.output.append(helper.make_tensor_value_info(image, TensorProto.FLOAT, None))
    return first


def after(first: openvino.Model, second: openvino.Model) -> openvino.Model:
    """Return the second network behind the first, joined at its only input."""
    source = first.get_results()[0].input_value(0)
    for target in second.get_parameters()[0].output(0).get_target_inputs():
        target.replace_source_output(source)
    return openvino.Model(second.get_results(), first.get_parameters())


def normalised(case: Case, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the case's network takes, float32 (n, 3, height, width), of crops."""
    compiled = openvino.compile_model(
        openvino.Core().read_model(normalisation(case).SerializeToString()),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32"},
    )
    batches = (crops[row : row + BATCH] for row in range(0, len(crops), BATCH))
    return np.concatenate([compiled(batch)[0].copy() for batch in batches])


def embeddings(engine: Engine, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the embeddings of crops, float32 (n, dimensions)."""
    name = engine.outputs[0].name
    batches = (outputs[name] for _, outputs in engine.stream_images(crops, BATCH))
    return np.concatenate(list(batches))


def layers(engine: Engine) -> dict[str, Any]:
    """Return how many of an engine's convolutions and dense layers run in INT8."""
    executed = engine.executed
    if executed is None:
        return {}
    return {
        "layers in INT8": executed.of("int8").layers,
        "layers": executed.total.layers,
        "share of multiply-adds in INT8": round(executed.share("int8"), 5),
    }


def speed_beside(
    reference: Engine, candidate: Engine, crops: NDArray[np.uint8], seconds: float
) -> PairedSpeed:
    """Time two engines in windows that alternate, from crops to embeddings, both open."""
    engines: Sequence[Engine] = (reference, candidate)
    batches = [batches_of(engine, crops, BATCH) for engine in engines]
    for engine, own in zip(engines, batches, strict=True):
        engine.run(own[0])  # the first batch of an engine allocates its memory
    meter = LoadMeter()
    windows: tuple[list[float], list[float]] = [], []
    for index in in_turn((0, 1), seconds, "measure FPS"):
        length = seconds / ROUNDS / len(engines)
        windows[index].append(frames_per_second(engines[index], batches[index], BATCH, length))
    of_reference, of_candidate = (FpsWindows.of(tuple(fps)) for fps in windows)
    return PairedSpeed.of(BATCH, of_reference, of_candidate, meter.read())
