"""Crops of photographs on a GPU, around the faces detected there."""

from lfw_eval.datasets.alignment.cuda_crops.crops import SOURCES, VERSIONS, CudaCrops, DeviceCrops
from lfw_eval.datasets.alignment.cuda_crops.five_point import FivePointCrops
from lfw_eval.datasets.alignment.cuda_crops.margin import MarginCrops

__all__ = ["SOURCES", "VERSIONS", "CudaCrops", "DeviceCrops", "FivePointCrops", "MarginCrops"]
