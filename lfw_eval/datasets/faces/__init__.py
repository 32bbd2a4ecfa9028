"""Data sets to measure face detection on: images, and the boxes of the faces in them."""

from lfw_eval.datasets.faces.coco import write_coco
from lfw_eval.datasets.faces.dataset import AnnotatedImage, FaceDataset
from lfw_eval.datasets.faces.formats import open_faces

__all__ = ["AnnotatedImage", "FaceDataset", "open_faces", "write_coco"]
