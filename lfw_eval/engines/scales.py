"""Scales for INT8, as engines take them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibration.scales import ScaleTable


@dataclass(frozen=True, eq=False)
class Scales:
    """Scales for INT8.

    Attributes:
        table: Of every tensor.
        crops: Makes the uint8 (n, height, width, 3) crops that they come from, for an engine that
            calibrates by itself; None where there are none.
        float_layers: Names of layers that stay in floating point; what they alone read needs no
            scale.
    """

    table: ScaleTable
    crops: Callable[[], NDArray[np.uint8]] | None
    float_layers: tuple[str, ...] = field(default=(), kw_only=True)
