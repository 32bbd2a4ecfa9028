"""Faces of the crop store as pictures embedded in the page."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.crop_store import CropStore

_SIDE = 96
_QUALITY = 80


@dataclass(frozen=True)
class FaceOptions:
    """Which faces are shown.

    Attributes:
        shown: Whether any are, with their names.
        images: The images that a detector was evaluated on.
        annotations: Those of the images, if not beside them.
    """

    shown: bool = True
    images: Path | None = None
    annotations: Path | None = None


@dataclass(frozen=True)
class Face:
    """One side of a pair; `picture` is a data URI, empty where there is none to show."""

    name: str
    picture: str


@dataclass
class Faces:
    """The faces of a group's pairs; without a store there are none, and no names either."""

    store: CropStore | None
    _encoded: dict[int, str] = field(default_factory=dict)

    def of(self, row: int) -> Face | None:
        """Return the face in a row of the store."""
        if self.store is None:
            return None
        if row not in self._encoded:
            crop = self.store.crops[row]
            height, width = CropSize(*crop.shape[:2]).scaled_to(_SIDE)
            crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)
            self._encoded[row] = jpeg_uri(np.asarray(crop, dtype=np.uint8), _QUALITY)
        return Face(self.store.names[row], self._encoded[row])


def jpeg_uri(pixels: NDArray[np.uint8], quality: int) -> str:
    """Return an RGB picture, uint8 (h, w, 3), as a data URI."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
