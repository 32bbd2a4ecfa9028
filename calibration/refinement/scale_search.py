"""Activation thresholds by what they cost the embedding."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.constants import with_initializers
from calibration.embedding import embed
from calibration.quantize import QdqTypes, quantize
from calibration.refinement.contract import Candidate
from calibration.refinement.measure import BATCH, SIGNED
from calibration.refinement.tails import Tail, Tails
from calibration.sessions import tensor_values

# Images that candidates are tried on: the first ones.
_IMAGES = 32
# Candidates are this far apart: 19 %.
_STEP = 2**0.25
# As far as the search goes from the threshold that it starts from: to a quarter, or fourfold.
_FARTHEST = 8
# Thresholds that make less than this part of the whole error stay as they are.
_NEGLIGIBLE = 0.002
# Thresholds whose tails' inputs are held in memory at a time.
_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Choice:
    """A threshold, and what it costs: the error of embeddings with it alone in INT8.

    Attributes:
        tensors: The tensors that share it.
        before: Where the search began.
        amax: Where it ended.
        cost_before: 1 - mean cosine to FP32, at `before`.
        cost: The same at `amax`.
    """

    tensors: tuple[str, ...]
    before: float
    amax: float
    cost_before: float
    cost: float


@dataclass(frozen=True)
class ScaleSearch:
    """The step that chooses thresholds; see `search`.

    Attributes:
        types: How engines store the values.
    """

    types: QdqTypes = SIGNED

    name = "scale search"
    preserving = True

    @property
    def recipe(self) -> str:
        """Return its version and parameters."""
        return f"1 {self.types}"

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        """Return the same network with thresholds that cost its embeddings least."""
        choices = search(candidate, images[:_IMAGES], self.types)
        chosen = {name: choice.amax for choice in choices for name in choice.tensors}
        return Candidate(candidate.model, {**candidate.amax, **chosen})


def search(candidate: Candidate, images: NDArray[np.float32], types: QdqTypes) -> list[Choice]:
    """Choose the threshold of every tensor that `quantize` quantises.

    Errors of INT8 hardly know of one another: those of single tensors, each alone in INT8, add up
    to nearly that of the whole network. So each threshold is chosen alone, by the error that it
    leaves in the embedding, from the candidate's up or down in steps of 19 % as long as that
    falls. It runs only the nodes from the tensor's first reader on.

    The result is the same on every run with as many threads, and nearly always with other numbers:
    sums in another order may turn a tie.

    Args:
        candidate: The network, and the thresholds to begin with.
        images: float32 (n, 3, height, width).
        types: How the values are stored: with a bit more, a wider range pays.

    Returns:
        A choice per threshold that the candidate has, first to last.
    """
    model, amax = with_initializers(candidate.model), candidate.amax
    tails = Tails(model, types)
    searched = [tensors for tensors in tails.thresholds if _threshold(tensors, amax)]
    reference = embed(model, images, BATCH)
    quantized = quantize(model, candidate.table(), types)
    negligible = _NEGLIGIBLE * _cost(reference, embed(quantized, images, BATCH))
    choices = []
    with tqdm(total=len(searched), desc="scale search", unit="scale", disable=None) as bar:
        for first in range(0, len(searched), _AT_ONCE):
            batch = [tails.of(tensors) for tensors in searched[first : first + _AT_ONCE]]
            values = tensor_values(model, {n for tail in batch for n in tail.inputs}, images)
            for tail in batch:
                before = _threshold(tail.tensors, amax)
                choices.append(_choose(tail, before, values, reference, negligible))
                bar.update()
    return choices


def _choose(
    tail: Tail,
    before: float,
    values: Mapping[str, NDArray[np.float32]],
    reference: NDArray[np.float32],
    negligible: float,
) -> Choice:
    """Descend from a threshold in steps, down or up, as long as the cost falls."""
    running = tail.open()

    def cost(step: int) -> float:
        return _cost(reference, running.run(before * _STEP**step, values))

    cost_before = lowest = cost(0)
    best = 0
    for direction in (-1, 1):
        while lowest > negligible and abs(best) < _FARTHEST:
            trial = cost(best + direction)
            if trial >= lowest:
                break
            best, lowest = best + direction, trial
        if best:
            break
    return Choice(tail.tensors, before, before * _STEP**best, cost_before, lowest)


def _threshold(tensors: Collection[str], amax: Mapping[str, float]) -> float:
    """Return the threshold that `quantize` gives these tensors; 0 where none has any."""
    return max((amax[name] for name in tensors if name in amax), default=0.0)


def _cost(reference: NDArray[np.float32], embeddings: NDArray[np.float32]) -> float:
    """Return 1 - mean cosine, exact for small ones too: half the squared chord."""
    chords = _unit(reference) - _unit(embeddings)
    return float(np.square(chords).sum(axis=1).mean() / 2)


def _unit(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    flat = embeddings.reshape(len(embeddings), -1).astype(np.float64)
    unit: NDArray[np.float64] = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return unit
