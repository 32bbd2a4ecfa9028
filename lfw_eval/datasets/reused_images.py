"""Images of nvImageCodec that one batch after another is decoded into.

To make and free an image for each photograph would take as long as to decode it.
"""

import weakref
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.cuda.device import Device, Stream
from lfw_eval.system.closing import Closing

_MOST_BYTES = 1 << 28
"""Of the images that stay after a batch; each is as large as the largest it ever had to hold."""
_capacity = attrgetter("capacity")


class ImageSet:
    """As many images as the largest batch had photographs, and where they lie.

    Attributes:
        stream: Their memory is allocated and freed on it.
    """

    def __init__(self, device: Device, stream: Stream, decoder: object, interface: str) -> None:
        """Begin without images.

        Args:
            device: Where they will lie.
            stream: Stays as long as they do, as the decoder does.
            decoder: Decodes into them.
            interface: The attribute of an image that says where it lies.
        """
        self.stream = stream
        self._interface = interface
        self._images: list[Any] = []
        # Attributes would go in any order, and memory freed on a stream that is gone is a crash.
        # At the end of the process this comes before the stream's own finalizer, which is older.
        weakref.finalize(self, _free, device, self._images, [stream, decoder])
        self._capacities: list[int] = []
        self._addresses = np.zeros(0, np.uint64)

    def take(self, count: int, create: Callable[[int], list[Any]]) -> list[Any]:
        """Return images to decode into; what they held is overwritten.

        Args:
            create: Returns so many new images, of any size.
        """
        missing = count - len(self._images)
        if missing > 0:
            self._images += create(missing)
            self._capacities += [0] * missing
            self._addresses = np.append(self._addresses, np.zeros(missing, np.uint64))
        return self._images[:count]

    def addresses(self, count: int) -> NDArray[np.uint64]:
        """Return where the first images lie, now that they have been decoded into."""
        capacities = list(map(_capacity, self._images[:count]))
        # An image moves when it needs more memory than it has, and only then.
        if capacities != self._capacities[:count]:
            for index, capacity in enumerate(capacities):
                if capacity != self._capacities[index]:
                    interface = getattr(self._images[index], self._interface)
                    self._addresses[index] = interface["data"][0]
            self._capacities[:count] = capacities
        return self._addresses[:count]

    @property
    def allocated(self) -> int:
        """Bytes of the images."""
        return sum(self._capacities)


class ImageLease:
    """A set of images that nobody else has; it is handed back when the last reference is gone."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images


class ImageSets(Closing):
    """Sets of images that are lent and come back: as many as batches are under way at once."""

    def __init__(self, device: Device, interface: str) -> None:
        """Serve one decoder; the arguments are those of `ImageSet`."""
        self._device, self._interface = device, interface
        self._returned: deque[ImageSet] = deque()

    def lease(self, stream: Stream, decoder: object) -> ImageLease:
        """Lend the images that came back last, or an empty set."""
        images = self._returned.pop() if self._returned else None
        if images is None or images.stream is not stream:
            images = ImageSet(self._device, stream, decoder, self._interface)
        lease = ImageLease(images)
        weakref.finalize(lease, _hand_back, images, self._returned).atexit = False
        return lease

    def close(self) -> None:
        """Free the images, those that are lent as soon as they come back."""
        returned, self._returned = self._returned, deque()
        returned.clear()  # what comes back later dies with this queue, which is nobody else's


def _hand_back(images: ImageSet, returned: deque[ImageSet]) -> None:
    if images.allocated <= _MOST_BYTES:
        returned.append(images)


def _free(device: Device, images: list[Any], others: list[object]) -> None:
    """Free images, and only then let go of what they need."""
    with device.active():
        images.clear()
        others.clear()
