"""How near a candidate in INT8 is to the original network in FP32."""

import math
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.embedding import embed
from calibration.errors import UserError
from calibration.quantize import QdqTypes, quantize
from calibration.refinement.contract import Candidate

SIGNED = QdqTypes(unsigned=False)
BATCH = 16
"""Images that pass through a network at once: those of more need more memory."""


@dataclass(frozen=True)
class Fidelity:
    """How near embeddings are to those of FP32.

    Attributes:
        cosine: Mean over images of the cosine between the two.
        minimum: The least cosine of an image.
        sqnr: 10 log10(sum |e|^2 / sum |e - e_q|^2) over all images, in dB; infinite if they are
            equal.
    """

    cosine: float
    minimum: float
    sqnr: float


def fidelity(reference: NDArray[np.float32], embeddings: NDArray[np.float32]) -> Fidelity:
    """Compare embeddings, row by row.

    Args:
        reference: float32 (n, dimensions), of FP32.
        embeddings: float32 (n, dimensions). Where one is zero or not finite, all count as noise.

    Raises:
        UserError: One of FP32 is zero, or not finite.
    """
    e, q = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (reference, embeddings))
    of_reference, of_others = np.linalg.norm(e, axis=1), np.linalg.norm(q, axis=1)
    if not _have_direction(of_reference):
        raise UserError(
            "an embedding is zero, NaN or infinite, and has no cosine",
            "check the model in FP32 and the crops",
        )
    if not _have_direction(of_others):
        return Fidelity(0, 0, 0)
    lengths = of_reference * of_others
    # Rounding may take the cosine of equal vectors beyond 1.
    cosines = np.minimum((e * q).sum(axis=1) / lengths, 1)
    noise = float(np.square(e - q).sum())
    sqnr = 10 * math.log10(float(np.square(e).sum()) / noise) if noise else math.inf
    return Fidelity(float(cosines.mean()), float(cosines.min()), sqnr)


def _have_direction(lengths: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(lengths).all() and lengths.all())


class Measure:
    """Compares candidates with one original on the same images.

    Args:
        original: FP32 model; its first output is the embedding.
        images: float32 (n, 3, height, width).
        types: How Q/DQ nodes store values: signed int8, as TensorRT takes them, unless told.
    """

    def __init__(
        self, original: onnx.ModelProto, images: NDArray[np.float32], types: QdqTypes = SIGNED
    ) -> None:
        self._images = images
        self._types = types
        self.reference = embed(original, images, BATCH)

    def int8(self, candidate: Candidate) -> Fidelity:
        """Return how near the candidate in INT8 is, its Q/DQ nodes run as they are."""
        network = quantize(candidate.model, candidate.table(), self._types)
        return fidelity(self.reference, self.embed(network))

    def embed(self, model: onnx.ModelProto) -> NDArray[np.float32]:
        """Return the embeddings of the images by a network as it is written."""
        return embed(model, self._images, BATCH)
