"""Compare MTCNN with facenet-pytorch's, on the same photographs, in one run.

Usage: python benchmarks/alignment_parity.py DATASET [--count N] [--bs N]

Prints, and writes to benchmarks/results/alignment_parity.json, how far the boxes of the faces that
alignment chooses are apart, how many faces either detects, and the images per second of both.
They take turns on every batch, so that a change in the machine's clock or load affects both.

In the few photographs where boxes are more than a pixel apart, two boxes of a face have exactly
the same probability (often because both show the same pixels, cut off at the border). Which of
them facenet-pytorch takes there varies with the batch; lfw-eval takes the same one always.

Needs the extra `peers`, without facenet-pytorch's own pins:
    pip install torch tqdm pillow && pip install --no-deps facenet-pytorch==2.6.0
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import openvino
import torch
from json_file import write_json
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.datasets.alignment import central_face
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.detectors.mtcnn_networks import load_detector
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "alignment_parity.json"
Faces = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Boxes (k, 4) and landmarks (k, 5, 2) of one photograph."""


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, threshold: float
) -> torch.Tensor:
    """Stand in for torchvision's function of that name with OpenCV's, in C++ as well."""
    corners = boxes.double().numpy()
    sizes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    indices = cv2.dnn.NMSBoxesBatched(
        sizes.tolist(), scores.tolist(), groups.tolist(), 0.0, threshold
    )
    return torch.as_tensor(np.array(indices, dtype=np.int64))


def provide_torchvision() -> str:
    """Make facenet-pytorch importable where PyTorch's CPU build has no torchvision beside it.

    Returns:
        What non-maximum suppression facenet-pytorch runs with.
    """
    try:
        import torchvision
    except (ImportError, RuntimeError):
        pass
    else:
        return f"torchvision {torchvision.__version__}"
    for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes"):
        sys.modules[name] = ModuleType(name)
    sys.modules["torchvision.ops.boxes"].batched_nms = batched_nms  # type: ignore[attr-defined]
    transforms = sys.modules["torchvision.transforms"] = ModuleType("torchvision.transforms")
    transforms.functional = None  # type: ignore[attr-defined]  # not called by detection
    return f"OpenCV {cv2.__version__}"


class Peer:
    """facenet-pytorch's MTCNN."""

    def __init__(self) -> None:
        self.nms = provide_torchvision()
        from facenet_pytorch import MTCNN

        self._mtcnn = MTCNN(keep_all=True)
        package = Path(sys.modules["facenet_pytorch"].__file__ or "")
        self.weights = {
            name: package.parent / "data" / f"{name}.pt" for name in ("pnet", "rnet", "onet")
        }

    def detect(self, images: NDArray[np.uint8]) -> list[Faces]:
        """Find the faces of photographs (n, height, width, 3)."""
        boxes, _, landmarks = self._mtcnn.detect(images, landmarks=True)
        return [
            (np.empty((0, 4)), np.empty((0, 5, 2))) if box is None else (box, landmark)
            for box, landmark in zip(boxes, landmarks, strict=True)
        ]


def agreement(
    ours: list[Faces], theirs: list[Faces], images: NDArray[np.uint8]
) -> dict[str, float]:
    """Return how far apart the faces are that alignment chooses of each photograph."""
    gaps = [_gap(mine, peer, image) for mine, peer, image in zip(ours, theirs, images, strict=True)]
    boxes, landmarks = np.array(gaps).T
    return {
        "images": len(images),
        "share of images within 1 px": float((boxes <= 1).mean()),
        "largest gap of boxes, px": float(boxes.max()),
        "largest gap of landmarks, px": float(landmarks.max()),
        "images with a face, lfw-eval": sum(len(boxes) > 0 for boxes, _ in ours),
        "images with a face, facenet-pytorch": sum(len(boxes) > 0 for boxes, _ in theirs),
        "faces, lfw-eval": sum(len(boxes) for boxes, _ in ours),
        "faces, facenet-pytorch": sum(len(boxes) for boxes, _ in theirs),
    }


def _gap(mine: Faces, peer: Faces, image: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the largest difference of a box's and of a landmark's coordinates."""
    if not len(mine[0]) or not len(peer[0]):
        missed = 0.0 if len(mine[0]) == len(peer[0]) else np.inf
        return missed, missed
    chosen, counterpart = central_face(mine[0], image), central_face(peer[0], image)
    box, landmark = (
        float(np.abs(a[chosen] - b[counterpart]).max()) for a, b in zip(mine, peer, strict=True)
    )
    return box, landmark


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path, help="LFW, folder or .tgz")
    parser.add_argument("--count", type=int, default=1000, help="photographs; the first by name")
    parser.add_argument("--bs", type=int, default=32)
    options = parser.parse_args()

    photographs = open_photographs(options.dataset)
    chosen = photographs.names[: options.count]
    images = np.stack([image for _, image in photographs.read(chosen)])
    peer = Peer()
    ours = load_detector(peer.weights)
    detections: dict[str, list[Faces]] = {"lfw-eval": [], "facenet-pytorch": []}
    seconds = dict.fromkeys(detections, 0.0)
    ours.detect(images[: options.bs])  # warm-up: runtimes prepare for shapes on first sight
    peer.detect(images[: options.bs])
    for start in tqdm(range(0, len(images), options.bs), desc="detect", disable=None):
        batch = images[start : start + options.bs]
        before = time.perf_counter()
        faces = ours.detect(batch)
        between = time.perf_counter()
        detections["facenet-pytorch"] += peer.detect(batch)
        seconds["facenet-pytorch"] += time.perf_counter() - between
        seconds["lfw-eval"] += between - before
        detections["lfw-eval"] += [(face.boxes, face.landmarks) for face in faces]

    rates = {name: len(images) / value for name, value in seconds.items()}
    content = {
        "data": str(options.dataset.name),
        "image size": list(images.shape[1:3]),
        "batch": options.bs,
        **agreement(detections["lfw-eval"], detections["facenet-pytorch"], images),
        "images per second": rates,
        "ratio": rates["lfw-eval"] / rates["facenet-pytorch"],
        "runtimes": {
            "lfw-eval": f"OpenVINO {openvino.__version__}",
            "facenet-pytorch": f"2.6.0, PyTorch {torch.__version__}, suppression by {peer.nms}",
        },
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))


if __name__ == "__main__":
    main()
