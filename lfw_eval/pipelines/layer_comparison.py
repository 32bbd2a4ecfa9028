"""INT8 beside FP32 on one engine, tensor by tensor: where accuracy is lost, by which layers."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.constants import with_initializers
from calibration.placement import Placement
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.contract import Engine
from lfw_eval.engines.observation import ObservingEngine
from lfw_eval.metrics.tensor_error import TensorError, sqnr
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.embedder import Embedder
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed, calibration_images
from lfw_eval.pipelines.layer_explanation import explain
from lfw_eval.pipelines.observed_engines import observed_errors
from lfw_eval.pipelines.refinement import EQUALISED
from lfw_eval.pipelines.side_by_side import describe_calibration, describe_engine
from lfw_eval.pipelines.tensor_graph import TensorGraph, tensor_graph
from lfw_eval.results.layers import FusedTensor, LayerComparison, TensorComparison
from lfw_eval.system.errors import UserError


def compare_layers(job: Job, crops: int, share: float) -> LayerComparison:
    """Compare the tensors of a job's engine in INT8 with those of the same engine in FP32.

    Only tensors that the engine has by itself are put out: what it fuses stays fused, so that it
    computes what it does in use, which is checked by its embeddings. Sums are kept of each tensor,
    not its values.

    Args:
        crops: How many of the calibration images to compare on, at least two.
        share: Of the lost cosine, which the layers in the explanation give back when they are left
            in floating point; 0 for no explanation.

    Raises:
        UserError: For any mistake in the job, or its engine puts no tensors out.
    """
    _require_two_precisions(job)
    job.engine.preflight(job.checkpoint)
    images, store = calibration_images(job)
    calibration = calibrate_if_needed(job, store=store)
    compared = store.crops[store.rows(images.names[:crops])]
    exact = job.reference.spec(job.checkpoint)
    rounded = job.engine.spec(job.checkpoint, calibration)
    model = with_initializers(onnx.load(rounded.request.model))
    with exact.local() as engine:
        reference = describe_engine(engine, "fp32")
        wanted = _embedded(engine, exact, compared)
    with rounded.local() as engine:
        if not isinstance(engine, ObservingEngine):
            raise UserError(
                f"`engine` {job.engine.label} has no tensors of the network to compare",
                "take `engine` openvino, onnxruntime or tensorrt",
            )
        candidate = describe_engine(engine, "int8")
        own = engine.own_tensors()
        embeddings = _embedded(engine, rounded, compared)
    cached = cached_scales(rounded.request)
    table = cached.table if cached else rounded.request.scales
    assert table is not None
    graph = tensor_graph(model, own, cached.float_nodes if cached else ())
    with tempfile.TemporaryDirectory(prefix="lfw-eval-") as folder:
        ideal = job.reference.spec(_of_equal_tensors(job.checkpoint, calibration))
        specs = [replace(spec, folder=Path(folder)) for spec in (ideal, rounded)]
        errors, observed = observed_errors(specs[0], specs[1], model, graph.compared, compared)
        tensors = _comparisons(graph, errors, _thresholds(model, table.amax, graph))
        cosine = mean_cosine(wanted, embeddings)
        result = LayerComparison(
            data=job.dataset.title,
            model=job.checkpoint.describe(),
            crops=len(compared),
            batch_size=job.engine.batch_size,
            layers=tuple(Placement(model, cached.float_nodes if cached else ()).layers),
            reference=reference,
            candidate=candidate,
            calibration=describe_calibration(calibration) if calibration else None,
            cosine=cosine,
            undisturbed=mean_cosine(embeddings, observed).value,
            tensors=tensors,
            fused=tuple(FusedTensor(n, graph.operators[n], into) for n, into in graph.into.items()),
            explanation=None,
        )
        if not share:
            return result

        def cosine_without(layers: frozenset[str]) -> float:
            request = replace(rounded.request, float_layers=tuple(sorted(layers)))
            spec = replace(specs[1], request=request)
            with spec.local() as engine:
                return mean_cosine(wanted, _embedded(engine, spec, compared)).value

        suspects = [tensor.layers for tensor in result.ranked if tensor.layers]
        suspects += [layers for layers in graph.served.values() if layers not in suspects]
        return replace(result, explanation=explain(suspects, cosine.value, share, cosine_without))


def _require_two_precisions(job: Job) -> None:
    """Refuse a job that is not one network in FP32 and in INT8 on an engine that is built here.

    Raises:
        UserError: It is not.
    """
    if job.engine.precision != "int8":
        raise UserError(
            f"INT8 is compared with FP32 here, and `precision` {job.engine.precision} is asked for",
            "leave it out",
        )
    if job.engine.options.served:
        raise UserError(
            f"`engine` {job.engine.label} is a server's, which shows no tensors of its network",
            "take `engine` openvino, onnxruntime or tensorrt",
        )
    job.checkpoint.require_float("compared with itself in FP32")


def _of_equal_tensors(checkpoint: Checkpoint, calibration: Calibration | None) -> Checkpoint:
    """Return the network in FP32 whose tensors those of the engine in INT8 ought to be.

    Refinement scales channels, so that the checkpoint's are others. Before their weights are
    rounded and their biases corrected, those of the equalised network are what they ought to be.
    """
    if calibration and calibration.network and calibration.refinement:
        return replace(calibration.network, model=calibration.output_folder / EQUALISED)
    return checkpoint


def _embedded(engine: Engine, spec: EngineSpec, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    return Embedder(engine, spec.choice.precision, spec.choice.batch_size).embed(crops)


def _thresholds(
    model: onnx.ModelProto, amax: Mapping[str, float], graph: TensorGraph
) -> dict[str, float]:
    """Return the threshold of every quantised tensor: one for all of a concatenation or pooling."""
    own = {name: amax[name] for name in graph.served if name in amax}
    for members in Placement(model).shared_scales():
        shared = max((amax[name] for name in members if name in amax), default=None)
        if shared is not None:
            own |= {name: shared for name in members if name in graph.served}
    return own


def _comparisons(
    graph: TensorGraph, errors: Mapping[str, TensorError], thresholds: Mapping[str, float]
) -> tuple[TensorComparison, ...]:
    """Return the comparison of each tensor, in the order of the network."""
    comparisons = []
    for name in graph.compared:
        error, before = errors[name], graph.before[name]
        noise = error.noise_to_signal
        worst = max((errors[other].noise_to_signal for other in before), default=0.0)
        comparisons.append(
            TensorComparison(
                name=name,
                operator=graph.operators[name],
                before=before,
                sqnr=_finite(sqnr(noise)),
                step=_finite(sqnr(worst) - sqnr(noise)) if before and noise and worst else None,
                entered=max(noise - worst, 0.0),
                cosine=error.cosine,
                minimum=error.minimum,
                threshold=thresholds.get(name),
                largest=float(error.amax.max()),
                spread=_finite(error.spread),
                layers=graph.served.get(name, ()),
            )
        )
    return tuple(comparisons)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
