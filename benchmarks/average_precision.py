"""Compare our AP with that of the COCO libraries, on the same synthetic detections, in one run.

Usage: python benchmarks/average_precision.py [--images N] [--faces N] [--runs N]

By default 10,000 images have 20 faces and about 25 detections each. Prints, and writes to
benchmarks/results/average_precision.json, the seconds from arrays to AP at IoU 0.5, the ratios, and
how far the APs are apart. The libraries' seconds include building their dictionaries from the
arrays. All take turns, and the fastest run counts. "whole evaluation" is everything that `evaluate`
computes: also AP of 3 sizes and 3 subsets, all with their standard errors. faster-coco-eval is
skipped where it is not installed.
"""

import argparse
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from json_file import write_json

from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.metrics.detection.coco_reference import coco_reference
from lfw_eval.metrics.detection.protocol import evaluate, mean_average_precision
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "average_precision.json"
SIDE = 1000  # of the images, pixels


def make(images: int, faces: int) -> tuple[list[Detections], list[FaceTruth]]:
    """Faces, nine of ten found more or less well, and strays that make up 5 / 4 of the faces.

    A twentieth of the faces are regions to ignore. Scores have three digits, so that some are tied.
    """
    rng = np.random.default_rng(0)
    detections, truths = [], []
    for _ in range(images):
        corner, side = rng.uniform(0, SIDE, (faces, 2)), np.exp(rng.uniform(2.3, 5.3, (faces, 1)))
        boxes = np.hstack([corner, corner + side])
        hit = rng.random(faces) < 0.9
        near = boxes[hit] + rng.normal(0, 0.08, (hit.sum(), 4)) * side[hit]
        stray = rng.uniform(0, SIDE, (faces * 5 // 4 - len(near), 2))
        stray = np.hstack([stray, stray + rng.uniform(5, 200, stray.shape)])
        score = np.append(rng.beta(4, 2, len(near)), rng.beta(2, 4, len(stray)))
        boxes_of_image = np.vstack([near, stray])
        boxes_of_image[:, 2:] = np.maximum(boxes_of_image[:, :2], boxes_of_image[:, 2:])
        detections.append(Detections(boxes_of_image, score.round(3)))
        sizes = {"easy": side[:, 0] > 50, "medium": side[:, 0] > 25, "hard": side[:, 0] > 0}
        truths.append(FaceTruth(boxes, rng.random(faces) < 0.05, sizes))
    return detections, truths


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--faces", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    arrays = make(options.images, options.faces)
    rows: dict[str, Callable[[], float]] = {
        "ours": lambda: mean_average_precision(*arrays, ious=[0.5]),
        "ours, whole evaluation": lambda: evaluate(*arrays, definition="coco").overall.value,
        "pycocotools": lambda: coco_reference(*arrays),
    }
    packages = ["pycocotools"]
    if importlib.util.find_spec("faster_coco_eval"):
        rows["faster-coco-eval"] = lambda: coco_reference(*arrays, backend="faster-coco-eval")
        packages.append("faster-coco-eval")

    precisions: dict[str, float] = {}
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(options.runs):
        for name, run in rows.items():
            start = time.perf_counter()
            precisions[name] = run()
            seconds[name].append(time.perf_counter() - start)
    best = {name: min(times) for name, times in seconds.items()}
    for name in rows:
        ratio = best[name] / best["ours"]
        print(f"{name:>22}: AP {precisions[name]:.12f}, {best[name]:7.3f} s, {ratio:6.1f} x ours")
    content: dict[str, Any] = {
        "images": options.images,
        "faces": sum(len(truth.boxes) for truth in arrays[1]),
        "detections": sum(len(image.boxes) for image in arrays[0]),
        "AP": precisions,
        "largest difference of AP": max(abs(ap - precisions["ours"]) for ap in precisions.values()),
        "seconds": {name: round(time, 3) for name, time in best.items()},
        "times our time": {name: round(time / best["ours"], 1) for name, time in best.items()},
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "environment": asdict(environment()),
    }
    print(f"largest difference of AP: {content['largest difference of AP']:.1e}")
    write_json(RESULT, content)


if __name__ == "__main__":
    main()
