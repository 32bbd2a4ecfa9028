"""Scales for INT8, as engines take them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibration.scales import ScaleTable
from lfw_eval.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class Scales:
    """Scales for INT8.

    Attributes:
        table: Of every tensor.
        crops: Makes the uint8 (n, height, width, 3) crops that they come from, for an engine that
            calibrates by itself; None where there are none.
        float_layers: Names of layers that stay in floating point; what they alone read needs no
            scale.
        network: What the scales are of where that is another network than the checkpoint that an
            engine is asked for: the one that was refined from it.
        recipe: The steps that refined it, in words; empty for the checkpoint itself.
    """

    table: ScaleTable
    crops: Callable[[], NDArray[np.uint8]] | None
    float_layers: tuple[str, ...] = field(default=(), kw_only=True)
    network: Checkpoint | None = field(default=None, kw_only=True)
    recipe: str = field(default="", kw_only=True)

    def network_of(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return the network that an engine of a checkpoint is built from."""
        return self.network or checkpoint
