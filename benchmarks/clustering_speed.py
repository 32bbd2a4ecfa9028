"""Time clustering of candidates on one core, and scikit-learn's DBSCAN beside ours, in one run.

Usage: python benchmarks/clustering_speed.py [--frames N] [--candidates K]

Prints, and writes to benchmarks/results/clustering_speed.json, the frames per second of `nms`,
`dbscan` and `hybrid`, and of the labels of DBSCAN alone, ours and scikit-learn's, both computing
the matrix of distances themselves. All take turns on every frame, and the labels must be the same.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from json_file import write_json
from sklearn.cluster import DBSCAN
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from lfw_eval.detectors.clustering import Clustering, dbscan_labels, pairwise_distance
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "clustering_speed.json"
FACES = 12
OUTLIERS = 0.1


def draw_frame(generator: np.random.Generator, count: int) -> Detections:
    """Candidates about some faces of FaceDetect's input, and a tenth of them anywhere."""
    faces = generator.uniform([0, 0], [640, 320], (FACES, 2))
    sides = generator.uniform(20, 120, (FACES, 2))
    which = generator.integers(0, FACES, count)
    start = faces[which] + generator.normal(0, 3, (count, 2))
    outlier = generator.random(count) < OUTLIERS
    start[outlier] = generator.uniform([0, 0], [640, 320], (int(outlier.sum()), 2))
    boxes = np.hstack([start, start + sides[which] + generator.normal(0, 3, (count, 2))])
    return Detections(boxes, generator.uniform(0.21, 1, count))


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--candidates", type=int, default=200, help="of a frame")
    options = parser.parse_args()

    parameters = Clustering()
    peer = DBSCAN(eps=parameters.eps, min_samples=int(parameters.min_boxes), metric="precomputed")
    ways: dict[str, Callable[[Detections], Any]] = {
        "nms": lambda frame: replace(parameters, mode="nms").apply([frame]),
        "dbscan": lambda frame: parameters.apply([frame]),
        "hybrid": lambda frame: replace(parameters, mode="hybrid").apply([frame]),
        "labels, lfw-eval": lambda frame: dbscan_labels(
            frame.boxes, parameters.eps, parameters.min_boxes
        ),
        "labels, scikit-learn": lambda frame: peer.fit_predict(pairwise_distance(frame.boxes)),
    }
    generator = np.random.default_rng(0)
    frames = [draw_frame(generator, options.candidates) for _ in range(options.frames)]
    seconds = dict.fromkeys(ways, 0.0)
    with threadpool_limits(1):
        for run in ways.values():
            run(frames[0])  # warm-up: modules load on first use
        for frame in tqdm(frames, disable=None):
            results = {}
            for name, run in ways.items():
                start = time.perf_counter()
                results[name] = run(frame)
                seconds[name] += time.perf_counter() - start
            np.testing.assert_array_equal(*(results[name] for name in ways if "labels" in name))

    rates = {name: round(len(frames) / value, 1) for name, value in seconds.items()}
    content = {
        "frames": len(frames),
        "candidates of a frame": options.candidates,
        "faces of a frame": FACES,
        "threads": 1,
        "eps": parameters.eps,
        "minBoxes": parameters.min_boxes,
        "frames per second": rates,
        "ratio": round(rates["labels, lfw-eval"] / rates["labels, scikit-learn"], 2),
        "scikit-learn": sklearn.__version__,
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))


if __name__ == "__main__":
    main()
