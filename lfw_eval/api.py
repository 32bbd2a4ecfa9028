"""The public calls over arrays, as `lfw_eval` exports them; calibrations are cached."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray

from calibration.cache import calibration_cache
from calibration.histogram import FIRST_BATCH
from calibration.quantize import QdqTypes
from calibration.quantize import quantize as insert_qdq
from calibration.scales import ScaleTable
from calibration.thresholds import Method
from lfw_eval.checkpoints.checkpoint import DEFAULT, open_checkpoint
from lfw_eval.checkpoints.preprocessing import ChannelOrder
from lfw_eval.datasets.dataset import Dataset, open_dataset
from lfw_eval.datasets.pairs import Pairs, read_pairs
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import Precision
from lfw_eval.engines.scales import Scales
from lfw_eval.gate.accuracy import judge_verification
from lfw_eval.gate.rules import DEFAULT as DEFAULT_RULES
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.verdict import GateResult
from lfw_eval.metrics.verification.comparison import Comparison, compare
from lfw_eval.metrics.verification.distance import Distance
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.metrics.verification.protocol import evaluate as evaluate_rows
from lfw_eval.pipelines.embedder import Embedder
from lfw_eval.pipelines.refined_network import RefinedNetwork, calibrate_on_crops, refine
from lfw_eval.system.errors import UserError, require_type

__all__ = [
    "Comparison",
    "Dataset",
    "Embedder",
    "GateResult",
    "Pairs",
    "RefinedNetwork",
    "Rules",
    "ScaleTable",
    "UserError",
    "VerificationResult",
    "calibrate",
    "calibration_cache",
    "compare",
    "evaluate",
    "judge",
    "load_engine",
    "open_dataset",
    "quantize",
    "read_pairs",
    "refine",
]

_TABLE = "a ScaleTable, from `calibrate` or `ScaleTable.load`"


def load_engine(
    checkpoint: str | Path = DEFAULT,
    *,
    engine: str = "openvino",
    precision: Precision = "fp32",
    scales: ScaleTable | None = None,
    batch_size: int = 64,
    normalisation: str | None = None,
    channel_order: ChannelOrder | None = None,
    **options: Any,
) -> Embedder:
    """Build a network's engine, or load an identical one built earlier.

    Args:
        checkpoint: A file of any of the formats that the README lists, or a name in
            `checkpoints/manifest.toml`; fetched and converted if necessary.
        engine: "openvino", "onnxruntime" (FP32 and INT8), "tensorrt", "dummy", or the address of a
            Triton server's model, such as "triton://localhost:8001/facenet".
        precision: "fp16" is the 16-bit type of the device; `about.arithmetic` says which.
        scales: For "int8", from `calibrate` or `ScaleTable.load`; a network that is quantised
            already runs in "int8" without.
        batch_size: Crops per batch.
        normalisation: That of the training images: "per-image", "fixed", "unit", "arcface", "none"
            or "MEAN,STD", as "127.5,128"; by default as the checkpoint says.
        channel_order: "bgr" for a network that takes blue first; crops are RGB all the same.
        options: `strict_precision`, and the engine's own, such as `tf32=False`: the fields of
            `lfw_eval.engines.tensorrt.options.TensorRTOptions` or `triton.options.TritonOptions`.

    Raises:
        UserError: A parameter names what does not exist or contradicts another one, or the engine
            cannot be built.

    Example:
        >>> from lfw_eval import load_engine, open_dataset
        >>> crops = open_dataset("celebrities").crop_store().crops
        >>> with load_engine("facenet-keras") as network:
        ...     embeddings = network.embed(crops[:8])
        ...     network.about.precision, network.crop_shape
        ('fp32', (160, 160, 3))
        >>> embeddings.shape, embeddings.dtype.name
        ((8, 128), 'float32')
    """
    if scales is not None:
        require_type("scales", scales, ScaleTable, _TABLE)
    require_type("batch_size", batch_size, int, "a number of crops")
    choice = choose_engine(engine, precision, batch_size, **options)
    if batch_size < 1:
        raise UserError(f"`batch_size` must be at least 1, not {batch_size}")
    opened = open_checkpoint(str(checkpoint), normalisation, channel_order=channel_order)
    if scales is not None:
        opened.require_float("given other `scales`")
    needs_scales = choice.needs_scales(opened)
    if needs_scales and scales is None:
        raise UserError("`precision` int8 needs `scales`", "pass what `calibrate` returns")
    if scales is not None and not needs_scales:
        raise UserError(
            f"`engine` {choice.label} in `precision` {precision} takes no `scales`",
            "pass them for int8, to engines without scales of their own",
        )
    built = choice.build(opened, Scales(scales, None) if scales else None)
    return Embedder(built, precision, batch_size)


def evaluate(
    embeddings: ArrayLike,
    pairs: Pairs,
    *,
    names: Sequence[str] | None = None,
    distance: Distance = "squared_l2",
    subtract_mean: bool = False,
    far_target: float = 1e-3,
) -> VerificationResult:
    """Verify pairs of images by facenet's protocol: ACC, AUC, EER, VAL at FAR, precision, recall.

    Thresholds are chosen on the other folds, and every metric has its standard error.

    Args:
        embeddings: One per image, `(images, d)`, any real dtype, of non-zero length.
        pairs: From a data set, `read_pairs` or `Pairs.of`.
        names: The image of each embedding, by default `pairs.names`, in this order.
        distance: Squared L2 of embeddings of length 1, 0 to 4, or "cosine", the angle over pi.
        subtract_mean: Subtract the training folds' mean embedding; affects "cosine" only.
        far_target: The FAR at which VAL is taken, above 0 and below 1. It takes about 3 /
            `far_target` impostor pairs; `val.unresolved` says where they are too few.

    Raises:
        UserError: An image has no embedding or one that is not finite or of length zero, all are
            the same, or the pairs allow no value: too few folds, or a fold of one kind of pairs.

    Example:
        >>> from lfw_eval import evaluate, load_engine, open_dataset
        >>> faces = open_dataset("celebrities")
        >>> with load_engine("facenet-keras") as network:
        ...     result = evaluate(network.embed(faces.crop_store().crops), faces.pairs)
        >>> result.accuracy.n, round(result.accuracy.value, 2), round(result.auc.value, 2)
        (2000, 0.93, 0.98)
    """
    require_type("pairs", pairs, Pairs, "Pairs, from a data set, `read_pairs` or `Pairs.of`")
    rows = np.asarray(embeddings)
    images = pairs.names if names is None else tuple(names)
    if rows.ndim != 2 or len(rows) != len(images):
        raise UserError(
            f"`embeddings` must have one row for each of {len(images):,} images, but its shape is "
            f"{rows.shape}",
            "pass the images of the rows as `names`" if names is None else "",
        )
    row = {name: number for number, name in enumerate(images)}
    if len(row) < len(images):
        twice = next(name for number, name in enumerate(images) if row[name] != number)
        raise UserError(f"`names` lists {twice} twice", "pass one embedding per image")
    pairs.check_images(row)
    at = np.array([row[name] for name in pairs.names], np.intp)
    return evaluate_rows(
        rows,
        at[pairs.left],
        at[pairs.right],
        pairs.genuine,
        pairs.fold,
        distance=distance,
        subtract_mean=subtract_mean,
        far_target=far_target,
        names=images,
    )


def calibrate(
    checkpoint: str | Path,
    crops: NDArray[np.uint8],
    method: Method = "entropy",
    *,
    normalisation: str | None = None,
    channel_order: ChannelOrder | None = None,
    first_batch: int = FIRST_BATCH,
) -> ScaleTable:
    """Measure a network's activations on crops, and choose the INT8 scale of every tensor.

    Args:
        checkpoint: As for `load_engine`.
        crops: uint8 `(n, height, width, 3)`, RGB; some 500, of people who are not evaluated.
        method: "entropy" is TensorRT's `IInt8EntropyCalibrator2`, "minmax" `IInt8MinMaxCalibrator`.
        normalisation: As for `load_engine`.
        channel_order: As for `load_engine`.
        first_batch: Crops that set the histograms' bins, as TensorRT's first batch does.

    Returns:
        Its `amax`: by tensor, the magnitude that the largest int8 represents.

    Raises:
        UserError: `crops` are none, of another type or shape, or give NaN or infinity.

    Example:
        >>> from lfw_eval import calibrate, open_dataset
        >>> crops = open_dataset("celebrities").crop_store().crops
        >>> table = calibrate("facenet-keras", crops[:16])
        >>> table.method, table.crops, len(table.amax)
        ('entropy', 16, 314)
    """
    return calibrate_on_crops(
        checkpoint,
        crops,
        method,
        normalisation=normalisation,
        channel_order=channel_order,
        first_batch=first_batch,
    ).table


def quantize(
    checkpoint: str | Path,
    scales: ScaleTable,
    *,
    unsigned: bool = False,
    normalisation: str | None = None,
    channel_order: ChannelOrder | None = None,
) -> onnx.ModelProto:
    """Return a network with Q/DQ nodes, for TensorRT 11, OpenVINO and ONNX Runtime.

    Its input is that of the FP32 network, float32 `(n, 3, height, width)`, normalised.

    Args:
        checkpoint: As for `load_engine`.
        scales: Those of the same network.
        unsigned: Store tensors that are never negative as uint8, twice as fine; not for TensorRT.
        normalisation: As for `load_engine`.
        channel_order: As for `load_engine`.

    Raises:
        UserError: `scales` is no table, or lacks a tensor to quantise.

    Example:
        >>> from lfw_eval import calibrate, open_dataset, quantize
        >>> crops = open_dataset("celebrities").crop_store().crops
        >>> network = quantize("facenet-keras", calibrate("facenet-keras", crops[:16]))
        >>> {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in network.graph.node}
        True
    """
    require_type("scales", scales, ScaleTable, _TABLE)
    opened = open_checkpoint(str(checkpoint), normalisation, channel_order=channel_order)
    opened.require_float("quantised again")
    model = onnx.load(opened.model)
    return insert_qdq(model, scales, QdqTypes(unsigned=unsigned))


def judge(
    candidate: VerificationResult, baseline: VerificationResult, rules: Rules = DEFAULT_RULES
) -> GateResult:
    """Judge a candidate against a baseline on the same pairs: passed, regressed or cannot tell.

    ACC, AUC, EER and VAL get paired tests: a drop beyond what the rules allow is a regression
    unless chance explains it; a pass rules such a drop out.

    Args:
        candidate: INT8, for example.
        baseline: FP32, for example, on the same pairs in the same order.
        rules: What is allowed; `Rules.load` reads a TOML file. Those for FPS, AP, INT8 and
            calibration do not apply here.

    Returns:
        The `verdict`, a finding for each metric, and `notes`: VAL is not judged where the impostor
            pairs are too few to resolve its FAR.

    Raises:
        UserError: The two are on different pairs, have VAL at different FARs, or are no such
            results, or there is a rule for a VAL that cannot be judged.

    Example:
        >>> from lfw_eval import evaluate, judge, load_engine, open_dataset
        >>> faces = open_dataset("celebrities")
        >>> with load_engine("facenet-keras") as network:
        ...     result = evaluate(network.embed(faces.crop_store().crops), faces.pairs)
        >>> verdict = judge(result, result)
        >>> verdict.verdict, [finding.metric for finding in verdict.findings]
        ('passed', ['ACC', 'AUC', 'EER'])
    """
    for parameter, result in (("candidate", candidate), ("baseline", baseline)):
        require_type(parameter, result, VerificationResult, "what `evaluate` returns")
    require_type("rules", rules, Rules, "Rules, such as `Rules.load` reads")
    return judge_verification(candidate, baseline, rules)
