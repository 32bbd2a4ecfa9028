"""Try on a few pairs which normalisation and order of channels a network wants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.checkpoints.checkpoint import image_shape
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.checkpoints.preprocessing import NAMES, ChannelOrder, Preprocessing
from lfw_eval.metrics.paired.several_tests import shared_level
from lfw_eval.metrics.verification.auc import auc
from lfw_eval.metrics.verification.distance import EmbeddingError, normalise, require_distinct
from lfw_eval.metrics.verification.separation import Separation, p_value, separation
from lfw_eval.system.hardware import cpu_threads

if TYPE_CHECKING:
    import onnxruntime

MIN_AUC = 0.9
"""Below this, a network does not recognise the faces, and no normalisation is called its own:
random weights reach 0.7."""
_RGB = {
    "ImageNet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "VGGFace2": ((131.0912, 103.8827, 91.4953), (1.0, 1.0, 1.0)),
}
PUBLISHED = {
    Preprocessing.parse(",".join(map(str, (*mean[::step], *std[::step]))) + suffix): name
    for name, (mean, std) in _RGB.items()
    for step, suffix in ((1, ""), (-1, " BGR"))
}
"""Names of the data sets whose mean and deviation of each channel networks are trained with."""
_SIGNIFICANCE = 0.05
_BATCH = 32


@dataclass(frozen=True)
class Tried:
    """A way, and how well the network tells people apart by it.

    Attributes:
        auc: None where embeddings cannot be compared.
        separation: See `metrics.verification.separation`; None where there is no AUC.
        behind: How much less that is than the best one's.
        standard_error: Of `behind`, paired.
        worse: It is behind beyond chance, by Holm's procedure over all ways.
    """

    way: Preprocessing
    auc: float | None
    separation: float | None
    behind: float
    standard_error: float
    worse: bool


@dataclass(frozen=True)
class Trial:
    """The ways that were tried, best first.

    Attributes:
        genuine: Number of genuine pairs.
        impostors: Number of impostor pairs, among the same images.
    """

    tried: tuple[Tried, ...]
    genuine: int
    impostors: int

    @property
    def recognises(self) -> bool:
        """Whether the network tells people apart by any of them."""
        return (self.tried[0].auc or 0) >= MIN_AUC

    @property
    def best(self) -> tuple[Preprocessing, ...]:
        """The best one, and those that cannot be told from it; none of a network that is random."""
        if not self.recognises:
            return ()
        return tuple(tried.way for tried in self.tried if not tried.worse)


def common_ways() -> list[Preprocessing]:
    """Return the named normalisations and the published ones, in both orders of channels."""
    named = [Preprocessing(name, order) for name in NAMES for order in get_args(ChannelOrder)]
    return [*named, *PUBLISHED]


def try_ways(
    model: onnx.ModelProto,
    left: NDArray[np.uint8],
    right: NDArray[np.uint8],
    impostor: NDArray[np.bool_],
    candidates: Sequence[Preprocessing],
) -> Trial:
    """Run a network on n genuine pairs of crops, normalised in every way.

    Args:
        model: From one float32 input (n, 3, height, width) to embeddings.
        left: The pairs' first images, (n, height, width, 3) RGB.
        right: Their second images.
        impostor: (n, n), whether the first image of a pair and the second of another are of
            different people.
        candidates: The ways.
    """
    embed = _embedder(model)
    height, width, _ = image_shape(model)
    known: dict[Preprocessing, tuple[Separation, float]] = {}
    bar = tqdm(total=2 * len(left) * len(candidates), desc="try", unit="img", disable=None)
    with bar:
        for way in candidates:
            convert = _converter(way, height, width)
            rows = []
            for crops in (left, right):
                for start in range(0, len(crops), _BATCH):
                    rows.append(embed(convert(crops[start : start + _BATCH])))
                    bar.update(len(rows[-1]))
            try:
                unit = normalise(np.concatenate(rows))
                require_distinct(unit)
            except EmbeddingError:
                continue
            known[way] = _judged(unit, impostor)
    return Trial(_ranked(candidates, known), len(left), int(impostor.sum()))


def _judged(unit: NDArray[np.floating], impostor: NDArray[np.bool_]) -> tuple[Separation, float]:
    """Return the separation and the AUC of embeddings, all first images before all second ones."""
    count = len(impostor)
    distances = 2 - 2 * unit[:count] @ unit[count:].T
    genuine = np.eye(count, dtype=bool)
    used = genuine | impostor
    return separation(distances, impostor), auc(distances[used], genuine[used]).value


def _ranked(
    candidates: Sequence[Preprocessing], known: dict[Preprocessing, tuple[Separation, float]]
) -> tuple[Tried, ...]:
    order = sorted(known, key=lambda way: -known[way][0].value)
    leads = [known[order[0]][0].lead_over(known[way][0]) for way in order]
    p_values = [p_value(lead) for lead in leads]
    level = shared_level(p_values[1:], _SIGNIFICANCE) if len(order) > 1 else 0.0
    tried = [
        Tried(way, known[way][1], known[way][0].value, lead.value, lead.standard_error, p <= level)
        for way, lead, p in zip(order, leads, p_values, strict=True)
    ]
    rest = [way for way in candidates if way not in known]
    return (*tried, *(Tried(way, None, None, np.nan, np.nan, True) for way in rest))


def _embedder(
    model: onnx.ModelProto,
) -> Callable[[NDArray[np.float32]], NDArray[np.floating]]:
    session = _session(model)
    name = model.graph.input[0].name

    def embed(images: NDArray[np.float32]) -> NDArray[np.floating]:
        embeddings: NDArray[np.floating] = session.run(None, {name: images})[0]
        return embeddings

    return embed


def _converter(
    way: Preprocessing, height: int, width: int
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return the first nodes of the suite's own networks as a function."""
    graph = GraphBuilder("normalisation")
    shape: list[int | str] = ["batch", 3, height, width]
    model = graph.model({"image": shape}, {graph.node("Identity", ["image"], "normalised"): shape})
    session = _session(accept_crops(model, str(way)))

    def convert(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        images: NDArray[np.float32] = session.run(None, {CROPS: crops})[0]
        return images

    return convert


def _session(model: onnx.ModelProto) -> "onnxruntime.InferenceSession":
    import onnxruntime  # a second, which help texts do without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_threads() or 0
    options.log_severity_level = 3  # what it removes from a graph is no warning to users
    # ONNX Runtime's integer kernels reject the float16 scales of a Q/DQ network.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
