"""A detector's output so far, from which an interrupted run resumes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.npz import read_npz
from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.datasets.photographs import RECIPE as DECODING
from lfw_eval.detectors.contract import RECIPE, FaceDetector
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.sources import datasets
from lfw_eval.system.files import array_sha256, replacing
from lfw_eval.system.locks import locked
from lfw_eval.system.records import DamagedError, say_remade


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
    @contextmanager
    def resumed(cls, detector: FaceDetector, faces: FaceDataset) -> Iterator["Detected"]:
        """Yield what an interrupted run of the same detector on the same images left.

        Another run of the same waits meanwhile. What is not complete at the end is kept.
        """
        depends_on = {
            "detector": detector.name,
            "settings": detector.settings,
            "faces": faces.digest,
            "detections": RECIPE,
            "decode": DECODING,
            "opencv": cv2.__version__,
        }
        key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
        path = datasets().root / "prepared" / f"detected-{key}.npz"
        with locked(path.with_suffix(".lock"), "running this detector on these images"):
            names = {image.name for image in faces.images}
            try:
                detected = cls._load(path, names)
            except DamagedError as error:
                say_remade(path, error)
                detected = cls(path)
            try:
                yield detected
            finally:
                if names.difference(detected.detections):
                    detected.save()
                else:
                    path.unlink(missing_ok=True)

    @classmethod
    def _load(cls, path: Path, names: set[str]) -> "Detected":
        """Return what was saved.

        Raises:
            DamagedError: It is not what was written.
        """
        if not path.exists():
            return cls(path)
        try:
            saved = read_npz(path)
            if str(saved.pop("sha256")) != _sha256(saved):
                raise ValueError("it is not what was written")
            ends = np.cumsum(saved["counts"])[:-1]
            boxes, scores = np.split(saved["boxes"], ends), np.split(saved["scores"], ends)
            by_name = zip(saved["names"].tolist(), map(Detections, boxes, scores), strict=True)
            detected = cls(path, dict(by_name), float(saved["seconds"]))
        except (ValueError, KeyError) as error:
            raise DamagedError(f"is damaged ({error})") from error
        if not names.issuperset(detected.detections):
            raise DamagedError("is damaged (it is of other images)")
        return detected

    def save(self) -> None:
        """Write the detections, if there are any."""
        if self.detections:
            detections = list(self.detections.values())
            arrays: dict[str, NDArray[np.generic]] = {
                "names": np.array(list(self.detections)),
                "counts": np.array([len(faces.scores) for faces in detections]),
                "boxes": np.concatenate([faces.boxes for faces in detections]),
                "scores": np.concatenate([faces.scores for faces in detections]),
                "seconds": np.array(self.seconds),
            }
            with replacing(self.path) as temporary:
                np.savez(temporary, allow_pickle=False, sha256=np.array(_sha256(arrays)), **arrays)


def _sha256(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    hashes = [f"{name} {array_sha256(arrays[name])}" for name in sorted(arrays)]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
