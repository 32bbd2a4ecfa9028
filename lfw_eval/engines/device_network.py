"""A network that runs where its data lies, in the memory of one GPU."""

from collections.abc import Mapping
from typing import Protocol

from lfw_eval.engines.cuda.device import Stream


class DeviceNetwork(Protocol):
    """One lane's use of a network: one thread at a time may call it, with the GPU active."""

    @property
    def largest_batch(self) -> int:
        """The most images of a run."""

    def run(self, stream: Stream, count: int, tensors: Mapping[str, int]) -> None:
        """Enqueue the network on `count` images, at least one; nothing is copied or waited for.

        Args:
            tensors: Addresses of all inputs and outputs by name, for `count` images each. What lies
                there must stay until the stream has done this.

        Raises:
            UserError: It cannot be enqueued.
        """
