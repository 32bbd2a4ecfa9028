"""From photographs to aligned faces: find the face and crop it."""

from lfw_eval.datasets.alignment.aligned import AlreadyAligned
from lfw_eval.datasets.alignment.boxes import BoxAlignment
from lfw_eval.datasets.alignment.contract import AlignedFaces, Alignment
from lfw_eval.datasets.alignment.crop import CROP_SIDE
from lfw_eval.datasets.alignment.five_point import (
    TEMPLATE_SIDE,
    FivePointAlignment,
    GivenLandmarks,
    LandmarkAlignment,
)
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment, central_face

__all__ = [
    "CROP_SIDE",
    "TEMPLATE_SIDE",
    "AlignedFaces",
    "Alignment",
    "AlreadyAligned",
    "BoxAlignment",
    "FivePointAlignment",
    "GivenLandmarks",
    "LandmarkAlignment",
    "MtcnnAlignment",
    "central_face",
]
