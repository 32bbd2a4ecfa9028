"""Compare our reading of IJB-C's lists and its templates with insightface's evaluation script.

Usage: python benchmarks/ijb_templates.py [--images N] [--pairs N] [--runs N]

A synthetic release of IJB-C's size, 469,375 images (empty files) in 23,124 templates and 15,658,489
pairs, and synthetic embeddings of 512 dimensions. Both take turns, in processes of their own, and
the fastest run counts:

- lfw-eval: `open_ijb`, which checks every line and looks for every image; `template_embeddings`;
- loops: a pass over all images for every template, and over its own for every medium; the
  lists of templates and pairs are read by pandas' `read_csv`, without any check.

Prints, and writes to benchmarks/results/ijb_templates.json, the seconds, the peak memory of both
processes, the ratio of the templates' seconds, and how far the templates are apart.
"""

import argparse
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from fresh_process import in_fresh_process, peak_memory
from json_file import write_json
from numpy.typing import NDArray

from lfw_eval.datasets.ijb import open_ijb
from lfw_eval.metrics.verification.templates import template_embeddings
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "ijb_templates.json"
IMAGES, TEMPLATES, PAIRS, DIMENSIONS = 469_375, 23_124, 15_658_489, 512

Measured = dict[str, Any]


def make(folder: Path, images: int, pairs: int) -> None:
    """A release with `images` images, and their embeddings."""
    rng = np.random.default_rng(0)
    templates = min(TEMPLATES, images // 2)
    numbers = np.arange(images)
    template = np.concatenate([np.arange(templates), rng.integers(0, templates, images)])[:images]
    medium = template * 10 + rng.integers(0, 6, images)
    names = [f"{number + 1}.jpg" for number in numbers]
    (folder / "meta").mkdir()
    (folder / "loose_crop").mkdir()
    for name in names:
        (folder / "loose_crop" / name).touch()
    points = "54.066 66.450 98.408 64.064 67.745 85.977 55.025 115.367 94.443 115.142"
    members = zip(names, template.tolist(), medium.tolist(), strict=True)
    left, right = rng.integers(0, templates, (2, pairs)).tolist()
    lists = {
        "face_tid_mid": (f"{name} {image} {other}" for name, image, other in members),
        "name_5pts_score": (f"{name} {points} 0.9983" for name in names),
        "template_pair_label": (
            f"{a} {b} {int(a % 3500 == b % 3500)}" for a, b in zip(left, right, strict=True)
        ),
    }
    for name, lines in lists.items():
        with (folder / "meta" / f"ijbc_{name}.txt").open("w") as file:
            file.writelines(f"{line}\n" for line in lines)
    np.save(folder / "embeddings.npy", rng.standard_normal((images, DIMENSIONS), np.float32))


def ours(folder: Path) -> Measured:
    """The package's readers and template embeddings."""
    start = time.perf_counter()
    release = open_ijb(folder)
    read = time.perf_counter()
    # The photographs' order is that of their names.
    names = release.images.photographs.names
    order = np.array([int(name.partition(".")[0]) - 1 for name in names])
    embeddings = np.load(folder / "embeddings.npy")
    loaded = time.perf_counter()
    templates = template_embeddings(
        embeddings, order[release.image], release.template, release.medium, release.score
    )
    seconds = {"lists": read - start, "templates": time.perf_counter() - loaded}
    np.save(folder / "ours.npy", templates)
    return {"seconds": seconds, "peak": peak_memory(), "pairs": len(release.genuine)}


def loops(folder: Path) -> Measured:
    """The way of the script, with its arrays and loops."""
    import pandas  # type: ignore[import-untyped]

    start = time.perf_counter()
    meta = folder / "meta"
    members = pandas.read_csv(meta / "ijbc_face_tid_mid.txt", sep=" ", header=None).values
    template, medium = members[:, 1].astype(int), members[:, 2].astype(int)
    pairs = pandas.read_csv(meta / "ijbc_template_pair_label.txt", sep=" ", header=None).values
    left, right, label = (pairs[:, column].astype(int) for column in range(3))
    read = time.perf_counter()
    embeddings = np.load(folder / "embeddings.npy") * np.float32(0.9983)
    loaded = time.perf_counter()
    unique = np.unique(template)
    sums = np.zeros((len(unique), embeddings.shape[1]))
    for row, number in enumerate(unique):
        (of_template,) = np.where(template == number)
        sums[row] = _sum_of_media(embeddings[of_template], medium[of_template])
    templates = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    seconds = {"lists": read - start, "templates": time.perf_counter() - loaded}
    apart = np.abs(templates - np.load(folder / "ours.npy")).max()
    assert len(left) == len(right) == len(label)
    return {"seconds": seconds, "peak": peak_memory(), "apart": float(apart)}


def _sum_of_media(
    embeddings: NDArray[np.float32], medium: NDArray[np.intp]
) -> NDArray[np.floating]:
    means = [np.mean(embeddings[medium == number], axis=0) for number in np.unique(medium)]
    return np.asarray(np.sum(means, axis=0))


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()

    runs: dict[str, list[Measured]] = {"lfw-eval": [], "loops": []}
    with tempfile.TemporaryDirectory() as folder:
        in_fresh_process(make, Path(folder), options.images, options.pairs)
        for _ in range(options.runs):
            for name, way in (("lfw-eval", ours), ("loops", loops)):
                runs[name].append(in_fresh_process(way, Path(folder)))
    seconds = {
        name: {part: min(run["seconds"][part] for run in done) for part in done[0]["seconds"]}
        for name, done in runs.items()
    }
    content: Measured = {
        "images": options.images,
        "pairs": runs["lfw-eval"][0]["pairs"],
        "dimensions": DIMENSIONS,
        "seconds": {
            name: {part: round(value, 2) for part, value in parts.items()}
            for name, parts in seconds.items()
        },
        "peak MiB": {name: round(max(r["peak"] for r in done)) for name, done in runs.items()},
        "loops / ours, templates": round(
            seconds["loops"]["templates"] / seconds["lfw-eval"]["templates"], 2
        ),
        "largest difference of a template's coordinate": runs["loops"][0]["apart"],
        "versions": {name: version(name) for name in ("numpy", "pandas", "scipy")},
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))


if __name__ == "__main__":
    main()
