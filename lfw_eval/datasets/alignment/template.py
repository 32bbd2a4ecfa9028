"""Where crops have the five landmarks of a face."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.system.errors import UserError

ARCFACE_SIZE = CropSize.square(112)
SPHEREFACE_SIZE = CropSize(112, 96)
ARCFACE_POINTS = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Where ArcFace's crops of 112x112 have the eyes, the nose and the corners of the mouth.

Those of insightface's `face_align.py`; left is left as the viewer sees it. SphereFace's crops of
112x96 have the same less 8 columns.
"""


@dataclass(frozen=True, eq=False)
class Template:
    """Where crops of a size have the eyes, the nose and the corners of the mouth.

    Attributes:
        points: float64 (5, 2) of x, y in pixels, in the order of `ARCFACE_POINTS`.
        origin: Whose it is, as a fingerprint names it; empty for ArcFace's.
    """

    size: CropSize
    points: NDArray[np.float64]
    origin: str = ""

    @property
    def words(self) -> str:
        """The size, and whose template it is, where it is not ArcFace's."""
        return f"{self.size}, {self.origin}" if self.origin else str(self.size)

    def resized(self, size: CropSize) -> "Template":
        """Return the same for crops of another size.

        Raises:
            UserError: They have another aspect.
        """
        if not size.has_aspect_of(self.size):
            raise UserError(
                f"{self.origin} is for crops of {self.size} (height x width), but the network "
                f"takes {size}",
                "give a `template` for crops of this shape",
            )
        return Template(size, self.points * (size.height / self.size.height), self.origin)


def takes_five_points(size: CropSize) -> bool:
    """Return whether networks of a size are usually trained on crops by five points.

    Those of 112x112 are, as ArcFace, and those that are not square, as SphereFace.
    """
    return size == ARCFACE_SIZE or not size.is_square


def arcface_template(size: CropSize) -> Template:
    """Return ArcFace's template for crops of a size.

    It grows with the side of square crops. Others are the central part of square ones, which takes
    8 columns off either side for 112x96: SphereFace's.

    Raises:
        UserError: That part lacks a landmark.
    """
    side = max(size)
    cut = (side - size.width) / 2, (side - size.height) / 2
    points = ARCFACE_POINTS * (side / ARCFACE_SIZE.height) - cut
    if not ((points >= 0) & (points < (size.width, size.height))).all():
        raise UserError(
            f"crops of {size} (height x width) have no room for the five points of ArcFace's "
            "template",
            "give a `template`, or align by `align` mtcnn",
        )
    if size.has_aspect_of(SPHEREFACE_SIZE):
        return Template(size, points, "SphereFace's template")
    return Template(size, points, "" if size.is_square else "ArcFace's template cut")
