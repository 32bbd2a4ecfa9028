"""What P-Net's kernel leaves on the GPU for suppression."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.images import DeviceImages

GROUP = np.dtype(
    [
        ("scale", "f4"),
        ("height", "i4"),
        ("width", "i4"),
        ("rows", "i4"),
        ("columns", "i4"),
        ("first", "i4"),
    ]
)
"""`struct Group` of window.cuh: a level of one photograph's pyramid."""
WINDOW = np.dtype([("score", "f4"), ("position", "i4"), ("shift", "f4", 4)])
"""`struct Window` of window.cuh."""


@dataclass(frozen=True)
class Proposals:
    """The windows of a batch that reach P-Net's threshold.

    Attributes:
        levels: Of the deepest pyramid; group image * levels + level is a level of an image. Groups
            that an image lacks have no windows.
        room: Windows of all groups, whatever their probability; the groups lie one after the other.
        groups: Address of `GROUP` (images * levels,).
        windows: Address of `WINDOW` (room,), of which the first `counts` of each group are set.
        counts: Address of int32 (images * levels,).
    """

    levels: int
    room: int
    groups: int
    windows: int
    counts: int


class ProposalNetwork(Protocol):
    """P-Net on the pyramids of a batch."""

    def propose(self, images: DeviceImages, table: int, stream: Stream) -> Proposals:
        """Enqueue the network.

        Args:
            images: The photographs.
            table: Address of their table on the GPU.
            stream: Where to; what is returned is there once it has come so far, until the next
                call.

        Raises:
            UserError: The GPU has too little memory.
        """
