"""The result of a comparison tensor by tensor: where an engine loses accuracy in INT8."""

from dataclasses import dataclass

from lfw_eval.metrics.verification.comparison import CosineSimilarity
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.engine import EngineDescription, ModelDescription


@dataclass(frozen=True)
class TensorComparison:
    """A tensor of the engine in INT8 beside the same of the engine in FP32.

    Attributes:
        name: Of the tensor, in the network in FP32.
        operator: Of the node that makes it; "Input" for the network's input.
        before: Names of the compared tensors that it is made from, by way of what is fused.
        sqnr: Signal-to-quantisation-noise ratio over all crops, in dB; None where both are equal.
        step: By how many dB it is below the worst of those before; None for the first tensors, and
            where a ratio is infinite. Positive: error enters here; negative: noise is averaged out.
        entered: Noise-to-signal ratio here less the largest of those before, at least 0.
        cosine: Mean over the crops.
        minimum: The smallest cosine of a crop.
        threshold: The magnitude that its largest int8 stands for; None where it stays in floating
            point.
        largest: The largest magnitude in FP32.
        spread: That of the largest channel over that of the median channel; None where the median
            channel is always zero.
        layers: Names of the layers that it is quantised for.
    """

    name: str
    operator: str
    before: tuple[str, ...]
    sqnr: float | None
    step: float | None
    entered: float
    cosine: float
    minimum: float
    threshold: float | None
    largest: float
    spread: float | None
    layers: tuple[str, ...]


@dataclass(frozen=True)
class FusedTensor:
    """A tensor that the engine in INT8 does not have.

    Attributes:
        into: Names of the compared tensors that it is computed together with.
    """

    name: str
    operator: str
    into: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """The layers that explain the loss: what they give back when left in floating point.

    Attributes:
        share: Of the lost cosine, as asked for.
        layers: The smallest set that was found, worst first; all layers where even these give back
            less.
        cosine: Mean cosine of the embeddings to FP32 with these left in floating point.
        given_back: The share of the lost cosine that this is.
        engines: How many engines were built to find them.
    """

    share: float
    layers: tuple[str, ...]
    cosine: float
    given_back: float
    engines: int

    @property
    def reached(self) -> bool:
        """Whether they give back the share asked for."""
        return self.given_back >= self.share


@dataclass(frozen=True)
class LayerComparison:
    """Where an engine loses accuracy.

    Attributes:
        data: Title of the data set.
        crops: How many were compared; they are the first of the calibration crops.
        batch_size: Of the engines as they are used.
        layers: Names of the layers that are quantised, in the order of the network.
        cosine: Of the embeddings of the engine in INT8 to those in FP32, as they are used.
        undisturbed: Mean cosine of the embeddings of the engine with its tensors put out to those
            of the engine as it is used: 1 where putting them out changes nothing.
        tensors: In the order of the network.
        fused: The same of those that the engine does not have.
    """

    data: str
    model: ModelDescription
    crops: int
    batch_size: int
    layers: tuple[str, ...]
    reference: EngineDescription
    candidate: EngineDescription
    calibration: CalibrationDescription | None
    cosine: CosineSimilarity
    undisturbed: float
    tensors: tuple[TensorComparison, ...]
    fused: tuple[FusedTensor, ...]
    explanation: Explanation | None

    @property
    def explaining(self) -> tuple[str, ...]:
        """The layers that explain the loss; none where they were not looked for."""
        return self.explanation.layers if self.explanation else ()

    @property
    def explaining_tensors(self) -> frozenset[str]:
        """The names of the tensors for which these layers are suspected."""
        suspects = (self.ranked_layers[layer] for layer in self.explaining)
        return frozenset(tensor.name for tensor in suspects if tensor)

    @property
    def ranked_layers(self) -> dict[str, TensorComparison | None]:
        """By quantised layer the tensor for which it is suspected, the most suspect layer first.

        None for a layer that reads no compared tensor.
        """
        suspects: dict[str, TensorComparison | None] = {}
        for tensor in self.ranked:
            for layer in tensor.layers:
                suspects.setdefault(layer, tensor)
        return suspects | {layer: None for layer in self.layers if layer not in suspects}

    @property
    def ranked(self) -> tuple[TensorComparison, ...]:
        """The tensors, the one that most noise enters at first; then by SQNR."""
        return tuple(
            sorted(self.tensors, key=lambda t: (-t.entered, t.sqnr is None, t.sqnr, t.cosine))
        )
