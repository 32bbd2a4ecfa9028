"""One picture on its way through the stages, and the faces in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Face:
    """A detected face.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the frame; it may reach over the border.
        score: The detector's.
        name: Of the person, where one of the gallery is nearer than the threshold.
        nearest: The nearest person of the gallery, named or not; None where it is empty.
        distance: To that one, squared L2 between embeddings of length 1: 0 to 4.
    """

    box: tuple[float, float, float, float]
    score: float
    name: str | None = None
    nearest: str | None = None
    distance: float | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture, and the results of the stages.

    Attributes:
        index: Its place in the source, dropped pictures counted.
        seconds: Since the first one.
        pixels: uint8 (h, w, 3) RGB.
        faces: Without names until they are embedded.
        detection_ms: Milliseconds that finding them took.
        embedding_ms: Milliseconds that cropping, embedding and naming all of them took.
    """

    index: int
    seconds: float
    pixels: Image
    faces: tuple[Face, ...] = ()
    detection_ms: float = 0.0
    embedding_ms: float = 0.0
