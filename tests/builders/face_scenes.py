"""Photographs of noise with what a detector would say of them, and both ways to crop them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import (
    AlignedFaces,
    FivePointAlignment,
    MtcnnAlignment,
    five_point,
    mtcnn,
)
from lfw_eval.datasets.alignment.cuda_crops import FivePointCrops, MarginCrops
from lfw_eval.detectors.cuda_mtcnn.faces import DeviceFaces
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.engines.cuda.device import Device, Module
from lfw_eval.engines.cuda.images import IMAGE, DeviceImages
from lfw_eval.engines.cuda.memory import Buffers

Recipe = MtcnnAlignment | FivePointAlignment

# OpenCV 4 rounds coordinates to 1/32 of a pixel: by at most 1/64 along either axis, which is
# 2 * 255 / 64 of an edge from black to white.
WARP_TOLERANCE = 0 if int(cv2.__version__.split(".")[0]) >= 5 else 8


@dataclass
class Scene:
    images: list[NDArray[np.uint8]]
    faces: list[Faces]


def noise(seed: int, sizes: Sequence[tuple[int, int]]) -> Scene:
    """Return photographs of some sizes with up to three faces each.

    They are inside, across the border or outside; the landmarks of some are in one place.
    """
    rng = np.random.default_rng(seed)
    images, faces = [], []
    for height, width in sizes:
        images.append(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        count = rng.integers(0, 4)
        centre = rng.uniform(-0.2, 1.2, (count, 2)) * [width, height]
        extent = np.exp(rng.normal(-1, 1, (count, 2))) * [width, height]
        boxes = np.hstack([centre - extent / 2, centre + extent / 2])
        spread = rng.normal(0, 0.3, (count, 5, 2)) * extent[:, None]
        # In one place, or but for rounding.
        spread[rng.random(count) < 0.2] *= rng.choice([0, 1e-7])
        landmarks = centre[:, None] + spread
        faces.append(Faces(*map(np.float32, (boxes, rng.random(count), landmarks))))
    return Scene(images, faces)


def crop_by_opencv(recipe: Recipe, scene: Scene) -> AlignedFaces:
    """Return the CPU's crops, from these faces instead of those that MTCNN would find."""
    with pytest.MonkeyPatch.context() as patched:
        for module in (mtcnn, five_point):
            patched.setattr(module, "find_faces", lambda images: scene.faces)
        return recipe.align([str(index) for index in range(len(scene.images))], scene.images)


def crop_by_kernels(recipe: Recipe, scene: Scene, module: Module, device: Device) -> AlignedFaces:
    """Return the device's crops."""
    with device.active(), Buffers(device) as buffers:
        stream = device.stream()
        kind = MarginCrops if isinstance(recipe, MtcnnAlignment) else FivePointCrops
        crops = kind(recipe, module, buffers)
        address = buffers.reserve("engine input", len(scene.images) * 3 * int(np.prod(recipe.size)))
        images, faces = _upload_images(scene, buffers), _upload_faces(scene, buffers)
        return crops.crop(images, faces, stream, address).to_host(stream)


def _upload_images(scene: Scene, buffers: Buffers) -> DeviceImages:
    """Copy photographs, the rows of some apart from one another."""
    table = np.zeros(len(scene.images), IMAGE)
    for index, image in enumerate(scene.images):
        padded = np.pad(image, ((0, 0), (0, index % 3), (0, 0)))
        table[index]["address"] = _upload(f"image {index}", padded, buffers)
        table[index]["height"], table[index]["width"] = image.shape[:2]
        table[index]["stride"] = padded.strides[0]
    return DeviceImages(table, buffers)


def _upload_faces(scene: Scene, buffers: Buffers) -> DeviceFaces:
    counts = np.array([len(faces.boxes) for faces in scene.faces], np.int32)
    columns = {
        "counts": counts,
        "offsets": (np.cumsum(counts) - counts).astype(np.int32),
        "boxes": np.concatenate([faces.boxes for faces in scene.faces]),
        "scores": np.concatenate([faces.probabilities for faces in scene.faces]),
        "landmarks": np.concatenate([faces.landmarks for faces in scene.faces]),
    }
    addresses = {name: _upload(name, values, buffers) for name, values in columns.items()}
    return DeviceFaces(images=len(counts), room=int(counts.sum()), buffers=buffers, **addresses)


def _upload(name: str, values: NDArray, buffers: Buffers) -> int:
    host = buffers.page_locked(name, values.shape, values.dtype)
    host[...] = values
    stream = buffers.device.stream()
    address = buffers.reserve(name, values.nbytes)
    if values.nbytes:
        stream.to_device(address, host)
        stream.synchronize()
    return address
