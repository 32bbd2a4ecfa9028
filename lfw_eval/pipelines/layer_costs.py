"""What it costs an engine to run a layer in 16 bits instead of INT8."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx

from calibration.quantize import quantized_layers
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.normalisation import CROPS
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.engines.contract import Batch, Precision
from lfw_eval.engines.layer_times import LayerTimes
from lfw_eval.engines.weighted_layers import weighted_layers
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.system.errors import UserError

MILLISECONDS, MULTIPLY_ADDS = "ms", "multiply-adds"
# Part of a layer's time in INT8 that 16 bits cost at least: there is twice as much to read.
_LOWEST = 0.1


@dataclass(frozen=True)
class LayerCosts:
    """What 16 bits cost an engine, by layer.

    Attributes:
        costs: By the name of every layer that is quantised, in `unit`.
        unit: Milliseconds of a batch; multiply-adds of an image where the engine tells no times.
        engine: Its name.
        total: Of the whole network in INT8, its layers with weights, in `unit`.
    """

    costs: Mapping[str, float]
    unit: str
    engine: str
    total: float

    def of(self, layers: Collection[str]) -> float:
        """Return the cost of some layers together."""
        return sum(self.costs[name] for name in layers)


def require_timeable(engine: EngineChoice) -> None:
    """Refuse an engine that runs elsewhere.

    Raises:
        UserError: It is a server's.
    """
    if engine.options.served:
        raise UserError(
            f"`time_on` {engine.label} is served elsewhere: its layers cannot be timed",
            "take openvino, onnxruntime or tensorrt",
        )


def layer_costs(
    checkpoint: Checkpoint, calibration: Calibration, engine: EngineChoice
) -> LayerCosts:
    """Time every layer in INT8 and in 16 bits, or in FP32 where the engine has none.

    What engines do between layers, such as conversions, is left out. An engine that does not name
    every layer is none to go by: multiply-adds stand for times then.

    Raises:
        UserError: The engine cannot be built.
    """
    checkpoint = calibration.network_of(checkpoint)
    layers = quantized_layers(onnx.load(checkpoint.model, load_external_data=False))
    wide: Precision = "fp16" if "fp16" in engine.precisions else "fp32"
    batch = {CROPS: calibration.crops()[: engine.batch_size]}
    int8 = _times(checkpoint, calibration, engine, "int8", batch)
    slow = _times(checkpoint, calibration, engine, wide, batch)
    if layers and set(layers) <= int8.keys() & slow.keys():
        costs = {n: max(slow[n] - int8[n], int8[n] * _LOWEST) for n in layers}
        return LayerCosts(costs, MILLISECONDS, engine.label, sum(int8.values()))
    counts = {w.name: float(w.multiply_adds) for w in weighted_layers(checkpoint.model, "int8")}
    if not set(layers) <= counts.keys():
        # Not even the shapes are known.
        counts = dict.fromkeys(layers, 1.0)
    costs = {name: counts[name] for name in layers}
    return LayerCosts(costs, MULTIPLY_ADDS, engine.label, sum(counts.values()))


def _times(
    checkpoint: Checkpoint,
    calibration: Calibration,
    engine: EngineChoice,
    precision: Precision,
    batch: Batch,
) -> dict[str, float]:
    """Return the milliseconds of layers by name; none where the engine tells no times."""
    choice = engine.in_precision(precision)
    kind = choice.engine_class()
    if not issubclass(kind, LayerTimes):
        return {}
    spec = choice.spec(checkpoint, calibration if precision == "int8" else None)
    return kind.layer_times(spec.request, spec.folder, batch)
