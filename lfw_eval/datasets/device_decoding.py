"""What turns files of photographs into pixels on a GPU, whichever way."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.baseline_jpeg import Size
from lfw_eval.engines.cuda.device import Stream
from lfw_eval.engines.cuda.images import DeviceImages
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError


@dataclass(frozen=True, eq=False)
class DecodedBatch:
    """A batch of photographs on a GPU.

    Attributes:
        images: Those that could be decoded, in order. Let go of their owner after synchronising
            with the stream whose work reads them: the memory serves a later batch then.
        rows: Of each of the images its place in the batch, int64.
        unreadable: By place in the batch, the error of each of the others.
    """

    images: DeviceImages
    rows: NDArray[np.int64]
    unreadable: Mapping[int, UserError]


class DeviceDecoder(Closing, ABC):
    """Decodes for one GPU; one thread at a time may call it."""

    @abstractmethod
    def decode(
        self,
        contents: Sequence[bytes],
        names: Sequence[str],
        stream: Stream,
        sizes: Sequence[Size | None] | None = None,
    ) -> DecodedBatch:
        """Decode files as `photographs.decode` does, each by itself.

        Args:
            contents: Of image files.
            names: Of the files, for errors.
            stream: What is enqueued on it after this call finds the pixels there.
            sizes: Of each, where the caller has them, what `baseline_size` returns.

        Raises:
            UserError: The GPU or the host has too little memory.
        """
