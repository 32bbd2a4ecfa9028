"""The two stages that find faces and name them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.alignment import central_face
from lfw_eval.live.crop import Crop, face_crop
from lfw_eval.live.embedder import Embedder
from lfw_eval.live.finder import FaceFinder
from lfw_eval.live.frame import Face, Frame, Image
from lfw_eval.live.gallery import Gallery


@dataclass(frozen=True)
class Recognizer:
    """A detector and an engine.

    Attributes:
        threshold: A face nearer than this to somebody in the gallery is named.
        crop: How faces are cropped for the engine.
    """

    finder: FaceFinder
    embedder: Embedder
    threshold: float
    crop: Crop = face_crop

    def steps(self, people: Callable[[], Gallery]) -> list[Callable[[Frame], Frame]]:
        """Return the stages, which name by the gallery of the moment."""
        return [self.find, lambda frame: self.name(frame, people())]

    def find(self, frame: Frame) -> Frame:
        """Find the faces of a frame."""
        started = time.perf_counter()
        detections = self.finder.find(frame.pixels)
        faces = tuple(
            Face((x1, y1, x2, y2), score)
            for (x1, y1, x2, y2), score in zip(
                detections.boxes.tolist(), detections.scores.tolist(), strict=True
            )
        )
        return replace(frame, faces=faces, detection_ms=_since(started))

    def name(self, frame: Frame, gallery: Gallery) -> Frame:
        """Embed the faces of a frame, and name those whom the gallery knows."""
        if not frame.faces:
            return frame
        started = time.perf_counter()
        crops = [self.crop(frame.pixels, np.array(face.box)) for face in frame.faces]
        faces = list(frame.faces)
        for row, (nearest, distance) in enumerate(gallery.nearest(self.embedder.embed(crops))):
            name = nearest if distance < self.threshold else None
            faces[row] = replace(faces[row], name=name, nearest=nearest, distance=distance)
        return replace(frame, faces=tuple(faces), embedding_ms=_since(started))

    def embed_portrait(self, image: Image) -> NDArray[np.float64] | None:
        """Return the embedding (d,) of the face nearest the centre, weighted by its size.

        Args:
            image: uint8 (h, w, 3) RGB, of one person.

        Returns:
            None where no face is found.
        """
        boxes = self.finder.find(image).boxes
        if not len(boxes):
            return None
        box = boxes[central_face(boxes.astype(np.float32), image)]
        embedding: NDArray[np.float64] = self.embedder.embed([self.crop(image, box)])[0]
        return embedding


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
