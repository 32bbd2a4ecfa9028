"""What a checkpoint is, what the suite makes of it, and how it wants its crops normalised."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from calibration.quantize import quantized_layers
from lfw_eval.checkpoints.checkpoint import find_source, image_shape
from lfw_eval.checkpoints.conversion import complete, read_network
from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.checkpoints.formats import format_of
from lfw_eval.checkpoints.onnx_description import OnnxDescription, describe_onnx, describe_onnx_file
from lfw_eval.checkpoints.own_normalisation import OwnNormalisation, own_normalisation
from lfw_eval.checkpoints.preprocessing import Preprocessing
from lfw_eval.checkpoints.quantized import Quantization, quantization_of
from lfw_eval.checkpoints.refined import refinement_of
from lfw_eval.datasets.alignment import AnyAlignment
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.datasets.few_pairs import FewPairs, draw_few_pairs
from lfw_eval.engines.weighted_layers import WeightedLayer, layers_of
from lfw_eval.pipelines.normalisation_trial import Trial, common_ways, try_ways
from lfw_eval.sources import NoSourceError
from lfw_eval.system.errors import UserError

TRIAL_PAIRS = 64
"""Genuine pairs that normalisations are tried on. RGB leads BGR by 5 standard errors on these with
insightface's MobileFaceNet, by about 3 on 50, by 2 on 25; all ways together need 3."""
_MIN_PAIRS = 16
"""With fewer, a standard error says little."""


@dataclass(frozen=True)
class Adopted:
    """What the suite makes of a checkpoint.

    Attributes:
        network: As it is converted.
        size: Of its crops.
        dimensions: Of its embeddings.
        quantization: How the checkpoint itself is quantised; None for one in floating point.
        refinement: The steps that refined it for INT8, in words; None for one that was not.
        stated: How crops are normalised, where the checkpoint or its format says so; else None.
        own_normalisation: What its graph does to its input first; None if that is no normalisation.
        quantized: Names of the layers that INT8 quantises.
        layers: All with multiply-adds, as INT8 has them; empty where these cannot be counted.
    """

    network: OnnxDescription
    size: CropSize
    dimensions: int
    quantization: Quantization | None
    refinement: str | None
    stated: Preprocessing | None
    own_normalisation: OwnNormalisation | None
    quantized: tuple[str, ...]
    layers: tuple[WeightedLayer, ...]

    @property
    def default(self) -> Preprocessing | None:
        """How crops are normalised where nothing is asked for; None if that is refused."""
        if self.own_normalisation:
            return Preprocessing("none", self.stated.channel_order if self.stated else "rgb")
        return self.stated


@dataclass(frozen=True)
class TriedOnFaces:
    """A trial of normalisations.

    Attributes:
        title: Of the data set.
        people: Number of people on the genuine pairs.
        alignment: How the faces were cropped, in words.
        undetected: Number of images without a detected face.
        trial: The outcome.
    """

    title: str
    people: int
    alignment: str
    undetected: int
    trial: Trial


@dataclass(frozen=True)
class Inspection:
    """An inspected checkpoint.

    Attributes:
        format: Of its file, in words.
        file: What the file says; None for one that is not ONNX.
        adopted: What becomes of it; None if it is refused.
        refusal: Why it is refused, and what helps; empty if it is not.
        tried: The normalisations tried on faces; None if they were not.
        untried: Why not; empty if they were, or for a checkpoint that is refused.
    """

    path: Path
    format: str
    file: OnnxDescription | None
    adopted: Adopted | None
    refusal: str
    tried: TriedOnFaces | None
    untried: str


def inspect(
    checkpoint: str,
    dataset: Dataset | None,
    align: Callable[[Dataset, CropSize], AnyAlignment],
    pairs: int = TRIAL_PAIRS,
) -> Inspection:
    """Inspect a checkpoint, and try normalisations on a few pairs.

    Args:
        checkpoint: A file, or a name in the manifest.
        dataset: Where the pairs are from; None does without.
        align: How its faces are cropped to the network's size.
        pairs: How many genuine ones to try on, at most.

    Raises:
        UserError: The file cannot be read; or the data set's images cannot.
    """
    path, _, stated = find_source(checkpoint)
    form = format_of(path)
    assert form
    file = _description(path) if form.original else None
    try:
        model, implied = read_network(path)
        text = stated or implied
        way = Preprocessing.parse(text) if text else None
        # Which way it is compared with its original does not matter, but for the size of values.
        model = complete(path, model, way or Preprocessing("fixed"))
    except UserError as error:
        if file is None:
            raise
        return Inspection(path, form.name, file, None, str(error), None, "")
    adopted = _adopted(model, path, way)
    tried, untried = None, "no pairs of faces at hand"
    if dataset:
        few = draw_few_pairs(dataset.pairs, pairs)
        untried = _too_few(few)
        if not untried:
            try:
                tried = _tried(model, adopted, dataset, align(dataset, adopted.size), few)
            except NoSourceError as error:
                untried = str(error)
    return Inspection(path, form.name, file, adopted, "", tried, untried)


def _description(path: Path) -> OnnxDescription | None:
    try:
        file = describe_onnx_file(path)
    except (UserError, DecodeError):
        return None
    return file if file.nodes else None


def _adopted(model: onnx.ModelProto, path: Path, stated: Preprocessing | None) -> Adopted:
    height, width, _ = image_shape(model)
    network = describe_onnx(model)
    return Adopted(
        network=network,
        size=CropSize(height, width),
        dimensions=int(network.outputs[0].shape[1]),
        quantization=quantization_of(model, str(path)),
        refinement=refinement_of(model),
        stated=stated,
        own_normalisation=own_normalisation(model),
        quantized=tuple(quantized_layers(model)),
        layers=layers_of(onnx.ModelProto.FromString(model.SerializeToString()), "int8"),
    )


def _too_few(few: FewPairs) -> str:
    """Return why normalisations cannot be tried on these pairs; empty where they can."""
    if len(few.left) < _MIN_PAIRS:
        return f"the data set has {len(few.left)} genuine pairs without a common image"
    return "" if few.people > 1 else "the genuine pairs are all of one person"


def _tried(
    model: onnx.ModelProto,
    adopted: Adopted,
    dataset: Dataset,
    alignment: AnyAlignment,
    few: FewPairs,
) -> TriedOnFaces:
    store = dataset.crop_store(alignment, (*few.left, *few.right))
    left, right = (store.crops[store.rows(names)] for names in (few.left, few.right))
    ways = common_ways()
    if adopted.own_normalisation:
        ways = [way for way in ways if way.normalisation == "none"]
    if adopted.default and adopted.default not in ways:
        ways.append(adopted.default)
    trial = try_ways(model, left, right, few.impostor, ways)
    undetected = int(np.sum(~store.detected))
    return TriedOnFaces(dataset.title, few.people, store.alignment, undetected, trial)
