"""From photographs to aligned faces: find the face and crop it."""

from lfw_eval.datasets.alignment.aligned import AlreadyAligned
from lfw_eval.datasets.alignment.boxes import BoxAlignment
from lfw_eval.datasets.alignment.contract import AlignedFaces, Alignment
from lfw_eval.datasets.alignment.crop import FACENET_SIZE
from lfw_eval.datasets.alignment.five_point import (
    FivePointAlignment,
    GivenLandmarks,
    LandmarkAlignment,
)
from lfw_eval.datasets.alignment.gpu import AnyAlignment, GpuAlignment
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment, central_face
from lfw_eval.datasets.alignment.template import (
    ARCFACE_SIZE,
    Template,
    arcface_template,
    takes_five_points,
)
from lfw_eval.datasets.alignment.template_file import read_template

__all__ = [
    "ARCFACE_SIZE",
    "FACENET_SIZE",
    "AlignedFaces",
    "Alignment",
    "AlreadyAligned",
    "AnyAlignment",
    "BoxAlignment",
    "FivePointAlignment",
    "GivenLandmarks",
    "GpuAlignment",
    "LandmarkAlignment",
    "MtcnnAlignment",
    "Template",
    "arcface_template",
    "central_face",
    "read_template",
    "takes_five_points",
]
