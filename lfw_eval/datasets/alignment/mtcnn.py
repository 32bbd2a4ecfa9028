"""The crop around the face that MTCNN finds, as FaceNet's authors made it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.contract import AlignedFaces, Image, Region
from lfw_eval.datasets.alignment.crop import (
    FACENET_SIZE,
    RESAMPLING,
    crop_regions,
    face_region,
    size_in_words,
)
from lfw_eval.detectors.mtcnn_cascade import Faces, Mtcnn
from lfw_eval.detectors.mtcnn_networks import (
    detector_runtime,
    detector_versions,
    fetch_networks,
    load_detector,
    network_entries,
)

DETECTION_PIXELS = 2**20  # per batch of the detector; bounds its memory, whatever the image size


@dataclass(frozen=True)
class MtcnnAlignment:
    """The crop of facenet's `align_dataset_mtcnn.py`, around the face that MTCNN finds.

    Differs from it in the interpolation: OpenCV's `INTER_LINEAR`, where SciPy's `imresize`, long
    gone, smoothed before it reduced. Crops that are not square show more of the photograph instead
    of stretching the face; see `face_region`.

    Attributes:
        margin: Pixels of the photograph added to width and height, half of it on every side.
        size: Of the crops.
    """

    margin: int = 32
    size: CropSize = FACENET_SIZE

    @property
    def fingerprint(self) -> str:
        """The recipe in words, with a hash of what it depends on."""
        return f"MTCNN, margin {self.margin} px{size_in_words(self.size)} ({networks_in_words()})"

    @property
    def aligned_on(self) -> str:
        """The CPU, with the runtime of MTCNN there."""
        return detector_runtime()

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        return {**RESAMPLING, **detector_versions()}

    def align(self, names: Sequence[str], images: Sequence[Image]) -> AlignedFaces:
        """Crop the face of each photograph; the centre box where there is none."""
        regions = [
            self._region(faces, image)
            for faces, image in zip(find_faces(images), images, strict=True)
        ]
        return crop_regions(images, regions, self.size)

    def _region(self, faces: Faces, image: Image) -> Region | None:
        if not len(faces.boxes):
            return None
        box = faces.boxes[central_face(faces.boxes, image)].astype(np.float64)
        grown = box + self.margin / 2 * np.array([-1, -1, 1, 1])
        return face_region(grown, image, self.size)


def find_faces(images: Sequence[Image]) -> list[Faces]:
    """Return the faces that MTCNN finds in images of any sizes."""
    by_index: dict[int, Faces] = {}
    for batch in _batches(images):
        faces = _detector().detect(np.stack([images[index] for index in batch]))
        by_index.update(zip(batch, faces, strict=True))
    return [by_index[index] for index in range(len(images))]


def networks_in_words() -> str:
    """Return MTCNN's networks as fingerprints name them."""
    return f"networks {'-'.join(str(entry.sha256)[:8] for entry in network_entries().values())}"


def central_face(boxes: NDArray[np.float32], image: Image) -> int:
    """Choose one of several boxes (k, 4) as facenet's `align_dataset_mtcnn.py` does.

    Returns:
        The index of the one with the largest area less twice the squared distance of its centre
        to the photograph's, in pixels.
    """
    corners = boxes.reshape(-1, 2, 2).astype(np.float64)
    area = np.prod(corners[:, 1] - corners[:, 0], axis=1)
    offset = corners.mean(axis=1) - np.array([image.shape[1], image.shape[0]]) / 2
    return int(np.argmax(area - 2 * np.square(offset).sum(axis=1)))


# One per process: alignments hold none themselves, so that they can be sent to other processes.
@cache
def _detector() -> Mtcnn:
    return load_detector(fetch_networks())


def _batches(images: Sequence[Image]) -> Iterator[list[int]]:
    """Yield the indices of images of one size, as many as the detector takes at once."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(index)
    for (height, width, _), indices in by_shape.items():
        size = max(1, DETECTION_PIXELS // (height * width))
        for start in range(0, len(indices), size):
            yield indices[start : start + size]
