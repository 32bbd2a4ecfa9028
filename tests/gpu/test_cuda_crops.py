"""Crops by the kernels, on a GPU, beside those of OpenCV from the same faces."""

import numpy as np
import pytest
from face_scenes import WARP_TOLERANCE, crop_by_kernels, crop_by_opencv, noise

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import FivePointAlignment, MtcnnAlignment, arcface_template
from lfw_eval.datasets.alignment.cuda_crops import SOURCES
from lfw_eval.engines.cuda.program import load_program

pytestmark = pytest.mark.gpu

SIZES = [(250, 250), (1, 1), (320, 320), (3, 400), (768, 1024), (160, 160), (97, 41)] * 20


@pytest.fixture(scope="module")
def module(gpu, tmp_path_factory):
    with gpu.active():
        return load_program(gpu, SOURCES, tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("size", [CropSize(160, 160), CropSize(112, 96), CropSize(31, 200)])
def test_margin_crops_are_those_of_opencv(gpu, module, size):
    recipe, scene = MtcnnAlignment(size=size), noise(1, SIZES)
    ours, theirs = crop_by_kernels(recipe, scene, module, gpu), crop_by_opencv(recipe, scene)
    np.testing.assert_array_equal(ours.detected, theirs.detected)
    np.testing.assert_array_equal(ours.boxes, theirs.boxes)
    np.testing.assert_array_equal(ours.crops, theirs.crops)


@pytest.mark.parametrize("size", [CropSize(112, 112), CropSize(112, 96)])
def test_five_point_crops_are_those_of_opencv(gpu, module, size):
    recipe, scene = FivePointAlignment(arcface_template(size)), noise(2, SIZES)
    ours, theirs = crop_by_kernels(recipe, scene, module, gpu), crop_by_opencv(recipe, scene)
    np.testing.assert_array_equal(ours.detected, theirs.detected)
    np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(ours.crops.astype(int), theirs.crops, 0, WARP_TOLERANCE)
