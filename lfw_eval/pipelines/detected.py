"""A detector's output so far, from which an interrupted run resumes."""

import hashlib
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.datasets.photographs import RECIPE as DECODING
from lfw_eval.detectors.contract import RECIPE, FaceDetector
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.sources import datasets
from lfw_eval.system.files import replacing


@dataclass
class Detected:
    """Detections by image, and how many seconds they took.

    Attributes:
        path: Where they are kept until the run is complete.
    """

    path: Path
    detections: dict[str, Detections] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, detector: FaceDetector, faces: FaceDataset) -> "Detected":
        """Return what an interrupted run of the same detector on the same images left."""
        depends_on = {
            "detector": detector.name,
            "settings": detector.settings,
            "faces": faces.digest,
            "detections": RECIPE,
            "decode": DECODING,
            "opencv": cv2.__version__,
        }
        key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
        detected = cls(datasets().root / "prepared" / f"detected-{key}.npz")
        try:
            with np.load(detected.path) as file:
                ends = np.cumsum(file["counts"])[:-1]
                boxes, scores = np.split(file["boxes"], ends), np.split(file["scores"], ends)
                names, detected.seconds = file["names"].tolist(), float(file["seconds"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return cls(detected.path)
        pairs = zip(names, map(Detections, boxes, scores), strict=True)
        detected.detections = dict(pairs)
        return detected

    def save(self) -> None:
        """Write the detections, if there are any."""
        if self.detections:
            detections = list(self.detections.values())
            with replacing(self.path) as temporary:
                np.savez(
                    temporary,
                    names=np.array(list(self.detections)),
                    counts=np.array([len(faces.scores) for faces in detections]),
                    boxes=np.concatenate([faces.boxes for faces in detections]),
                    scores=np.concatenate([faces.scores for faces in detections]),
                    seconds=self.seconds,
                )

    def delete(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
