"""Measure how the crop and the threshold of `lfw-eval live` affect accuracy, in one run.

Usage: python benchmarks/live_naming.py LFW [--pairs N] [--engine E] [--precision P]

Prints, and writes to benchmarks/results/live_naming.json:

- ACC, AUC and EER of facenet's crop (32 pixels of the photograph as margin) and of live's (a part
  of the face's size), around the same boxes of MTCNN, on the celebrities and on pairs of LFW;
- by threshold, how many of the celebrities' other photographs a gallery of one or of five of their
  photographs names rightly or wrongly, and how many people of LFW it names.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from json_file import write_json
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.cli.flatten import group_of
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.datasets.alignment import FACENET_SIZE, central_face
from lfw_eval.datasets.dataset import Dataset, open_dataset
from lfw_eval.detectors.mtcnn import MtcnnDetector
from lfw_eval.live.crop import face_crop
from lfw_eval.live.embedder import Embedder
from lfw_eval.live.frame import Image
from lfw_eval.live.gallery import Gallery
from lfw_eval.metrics.verification.protocol import evaluate
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "live_naming.json"
THRESHOLDS = (0.96, 1.0, 1.05, 1.1, 1.15, 1.2, 1.22, 1.25)
KNOWN = ("Ben_Affleck", "Elton_John", "Jerry_Seinfeld", "Madonna", "Mindy_Kaling")
Embeddings = dict[str, NDArray[np.float64]]


def facenet_crop(image: Image, box: NDArray[np.float64]) -> Image:
    """Return the crop of `MtcnnAlignment` with its margin of 32 pixels."""
    height, width = image.shape[:2]
    grown = box + np.array([-16, -16, 16, 16])
    x0, y0, x1, y1 = np.clip(grown, 0, [width, height, width, height]).astype(np.intp)
    return np.asarray(cv2.resize(image[y0:y1, x0:x1], FACENET_SIZE), np.uint8)


def embed(dataset: Dataset, names: Sequence[str], embedder: Embedder) -> dict[str, Embeddings]:
    """Return the embeddings of the named photographs by crop and name."""
    detector = MtcnnDetector()
    crops: dict[str, dict[str, Image]] = {"32 pixels": {}, "live": {}}
    images = dataset.photographs.read(names)
    for name, image in tqdm(images, desc=f"crop {dataset.name}", total=len(names), disable=None):
        (faces,) = detector.detect([image])
        if len(faces.boxes):
            box = faces.boxes[central_face(faces.boxes.astype(np.float32), image)]
            crops["32 pixels"][name] = facenet_crop(image, box)
            crops["live"][name] = face_crop(image, box)
    return {
        how: dict(zip(crops_of_image, embedder.embed(list(crops_of_image.values())), strict=True))
        for how, crops_of_image in crops.items()
    }


def accuracy(
    dataset: Dataset, chosen: NDArray[np.intp], embeddings: Embeddings
) -> dict[str, float]:
    """Return ACC, AUC and EER on the chosen pairs, whose faces were all found."""
    pairs = dataset.pairs
    in_both = [
        row
        for row in chosen
        if {pairs.names[pairs.left[row]], pairs.names[pairs.right[row]]} <= embeddings.keys()
    ]
    row_of = {name: row for row, name in enumerate(embeddings)}
    left, right = (
        [row_of[pairs.names[side[row]]] for row in in_both] for side in (pairs.left, pairs.right)
    )
    result = evaluate(
        np.stack(list(embeddings.values())),
        left,
        right,
        pairs.genuine[in_both],
        pairs.fold[in_both],
    )
    return {
        "pairs": len(in_both),
        "ACC": result.accuracy.value,
        "standard error": result.accuracy.standard_error,
        "AUC": result.auc.value,
        "EER": result.eer.value,
    }


def naming(
    enrolled: Embeddings, others: Embeddings, strangers: Embeddings
) -> list[dict[str, float]]:
    """Return what a gallery names, by threshold."""
    people = [name.rpartition("_")[0] for name in enrolled]
    gallery = Gallery(tuple(people), np.stack(list(enrolled.values())))
    truth = [name.rpartition("_")[0] for name in others]
    matches = gallery.nearest(np.stack(list(others.values())))
    named = gallery.nearest(np.stack(list(strangers.values())))
    right = np.array([name == true for (name, _), true in zip(matches, truth, strict=True)])
    distance, far = (np.array([d for _, d in distances]) for distances in (matches, named))
    return [
        {
            "threshold": threshold,
            "right": float(((distance < threshold) & right).mean()),
            "wrong": float(((distance < threshold) & ~right).mean()),
            "strangers named": float((far < threshold).mean()),
        }
        for threshold in THRESHOLDS
    ]


def typical(embeddings: Embeddings) -> Embeddings:
    """Return one of each person: that with the least median distance to the others."""
    chosen = {}
    for person in sorted({name.rpartition("_")[0] for name in embeddings}):
        own = {n: e for n, e in embeddings.items() if n.rpartition("_")[0] == person}
        rows = np.stack(list(own.values()))
        best = list(own)[int(np.median(-rows @ rows.T, axis=1).argmin())]
        chosen[best] = own[best]
    return chosen


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lfw", type=Path, help="folder or .tgz, with pairs.txt beside it")
    parser.add_argument("--pairs", type=int, default=70, help="of each fold and class, up to 300")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--precision", default="int8")
    options = parser.parse_args()

    asked = {"engine": options.engine, "precision": options.precision}
    job = group_of(JobOptions, {"dataset": "celebrities", **asked}).job()
    lfw, celebrities = open_dataset(str(options.lfw), None), job.dataset
    chosen = np.flatnonzero(np.arange(len(lfw.pairs)) % 300 < options.pairs)
    firsts = [n for n in lfw.photographs.names if n.endswith("_0001") and not n.startswith(KNOWN)]
    of_pairs = {
        lfw.pairs.names[row] for side in (lfw.pairs.left, lfw.pairs.right) for row in side[chosen]
    }
    with job.engine.build(job.checkpoint, calibrate_if_needed(job)) as engine:
        embedder = Embedder(engine, job.engine.batch_size)
        theirs = embed(celebrities, celebrities.photographs.names, embedder)
        ours = embed(lfw, sorted(of_pairs | set(firsts[::2])), embedder)
    every = np.arange(len(celebrities.pairs))
    crops = {
        data.name: {how: accuracy(data, rows, embeddings[how]) for how in embeddings}
        for data, rows, embeddings in ((celebrities, every, theirs), (lfw, chosen, ours))
    }
    for name, row in ((n, {"crop": how, **r}) for n, e in crops.items() for how, r in e.items()):
        print(f"{name:<14}" + "  ".join(f"{k} {_number(v)}" for k, v in row.items()))

    # The last five of each are those of `val`: train comes first in the order of paths.
    last = {name for name in theirs["live"] if _number_of(name) > _photographs_of(name, theirs) - 5}
    val = {name: e for name, e in theirs["live"].items() if name in last}
    others = {name: e for name, e in theirs["live"].items() if name not in last}
    strangers = {name: ours["live"][name] for name in firsts[::2] if name in ours["live"]}
    tables = {}
    for title, enrolled in (("one each", typical(val)), ("five each", val)):
        tables[title] = naming(enrolled, others, strangers)
        print(f"\ngallery of {title}, {len(others)} others, {len(strangers):,} strangers")
        for entry in tables[title]:
            print("  ".join(f"{key} {_number(value)}" for key, value in entry.items()))
    content = {
        "crops": crops,
        "naming": tables,
        "strangers": len(strangers),
        "precision": options.precision,
        "environment": asdict(environment()),
    }
    write_json(RESULT, content)


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value}"


def _number_of(name: str) -> int:
    return int(name.rpartition("_")[2])


def _photographs_of(name: str, embeddings: dict[str, Embeddings]) -> int:
    person = name.rpartition("_")[0]
    return max(
        _number_of(image) for image in embeddings["live"] if image.rpartition("_")[0] == person
    )


if __name__ == "__main__":
    main()
