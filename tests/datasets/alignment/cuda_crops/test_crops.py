"""Crops by the kernels, on the processor, beside those of OpenCV from the same faces."""

import tarfile

import cv2
import numpy as np
import pytest
from cuda_on_cpu.device import CpuDevice, CpuModule
from face_scenes import WARP_TOLERANCE, Recipe, Scene, crop_by_kernels, crop_by_opencv, noise
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import FivePointAlignment, MtcnnAlignment, arcface_template, mtcnn
from lfw_eval.datasets.alignment.cuda_crops import SOURCES, MarginCrops
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES as DETECTOR_SOURCES
from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.engines.cuda.memory import Buffers

SEEDS = st.integers(0, 2**32 - 1)
SIDES = st.one_of(st.integers(1, 8), st.integers(1, 400))
SIZES = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5)
FIVE_POINT_SIZES = [CropSize(112, 112), CropSize(112, 96), CropSize(160, 160)]


@pytest.fixture(scope="module")
def module():
    """The kernels, compiled together with the detector's as they are for a GPU."""
    return CpuModule(*DETECTOR_SOURCES, *SOURCES)


def check(recipe: Recipe, scene: Scene, module: CpuModule) -> None:
    ours = crop_by_kernels(recipe, scene, module, CpuDevice())
    theirs = crop_by_opencv(recipe, scene)
    np.testing.assert_array_equal(ours.detected, theirs.detected)
    if isinstance(recipe, MtcnnAlignment):
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.crops, theirs.crops)
    else:
        # Another order of operations in float64.
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(ours.crops.astype(int), theirs.crops, 0, WARP_TOLERANCE)


@given(SEEDS, SIZES, SIDES, SIDES, st.integers(0, 60))
def test_margin_crops_are_those_of_opencv(module, seed, sizes, height, width, margin):
    check(MtcnnAlignment(margin, CropSize(height, width)), noise(seed, sizes), module)


@pytest.mark.parametrize(
    "size",
    [(160, 160), (320, 320), (80, 80), (320, 160), (1, 1), (640, 640)],
    ids=["as they are", "halved", "doubled", "half the height", "a pixel", "a quarter"],
)
def test_margin_crops_of_whole_photographs(module, size):
    scene = noise(0, [size])
    box = np.array([[-1, -1, size[1] + 1, size[0] + 1]], np.float32)
    scene.faces = [Faces(box, np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))]
    check(MtcnnAlignment(0), scene, module)


@given(SEEDS, SIZES, st.sampled_from(FIVE_POINT_SIZES))
def test_five_point_crops_are_those_of_opencv(module, seed, sizes, size):
    check(FivePointAlignment(arcface_template(size)), noise(seed, sizes), module)


@pytest.fixture(scope="module")
def photographs(real_data) -> Scene:
    """LFW's and WIDER's, with what MTCNN finds."""
    source = open_photographs(real_data / "lfw.tgz")
    images = [image for _, image in source.read(source.names[:40])]
    with tarfile.open(real_data / "wider_val_120.tgz") as archive:
        members = [member for member in archive if member.name.endswith(".jpg")]
        for member in members[:6]:
            content = np.frombuffer(archive.extractfile(member).read(), np.uint8)
            images.append(cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
    return Scene(images, mtcnn.find_faces(images))


@pytest.mark.parametrize("size", [CropSize(160, 160), CropSize(112, 96)])
def test_margin_crops_of_real_photographs(module, photographs, size):
    check(MtcnnAlignment(size=size), photographs, module)


@pytest.mark.parametrize("size", FIVE_POINT_SIZES)
def test_five_point_crops_of_real_photographs(module, photographs, size):
    check(FivePointAlignment(arcface_template(size)), photographs, module)


def test_no_photographs_have_no_crops(module):
    with Buffers(CpuDevice()) as buffers:
        crops = MarginCrops(MtcnnAlignment(), module, buffers)
        stream = buffers.device.stream()
        nothing = DeviceFaces(0, 0, 0, 0, 0, 0, 0, buffers)
        images = DeviceImages(np.zeros(0, IMAGE), None)
        result = crops.crop(images, nothing, stream, 0).to_host(stream)
    assert result.crops.shape == (0, 160, 160, 3)
    assert result.boxes.shape == (0, 4)
