"""What passes from step to step of a refinement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.scales import ScaleTable


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network on its way to INT8.

    Attributes:
        model: In float32, constants as initializers, batch normalisation folded. Its first output
            is the embedding. Never changed in place.
        amax: Thresholds of its tensors, as in `ScaleTable.amax`.
    """

    model: onnx.ModelProto
    amax: Mapping[str, float]

    def table(self) -> ScaleTable:
        """Return the thresholds as `quantize` takes them; they say nothing of where they are from.

        The pipeline's caller knows the files that a table of record names.
        """
        return ScaleTable(dict(self.amax), "entropy", model="", images="", crops=0)


@dataclass(frozen=True, eq=False)
class Images:
    """Inputs of a network, float32 (n, 3, height, width).

    Attributes:
        fitting: What steps see.
        held_out: What they are judged on.
    """

    fitting: NDArray[np.float32]
    held_out: NDArray[np.float32]


class Step(Protocol):
    """A step of a refinement; deterministic.

    Attributes:
        name: A noun, such as "bias correction".
        recipe: Its version and parameters: another text when the same candidate and images would
            give another result.
        preserving: Whether the network it returns computes in FP32 what its candidate did.
    """

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def recipe(self) -> str:
        """Return its version and parameters."""

    @property
    def preserving(self) -> bool:
        """Return whether it keeps the FP32 function."""

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        """Return the next candidate.

        Args:
            candidate: The network of the step before.
            original: The FP32 network that the candidate stands for, tensor by tensor: the
                original one, or after steps that preserve the FP32 function, theirs.
            images: Those to fit on, float32 (n, 3, height, width).
        """
