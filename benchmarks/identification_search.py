"""Search a million gallery images by matrix products and by FAISS, flat and as a graph.

Usage: python benchmarks/identification_search.py [--gallery N] [--probes N] [--runs N]

1,000 mated probes against 1,000,000 synthetic embeddings of as many people, 128 dimensions of which
50 are effective, and mates as near, as FaceNet's on LFW. They take turns, in processes of their own
and on all cores, and the fastest run counts. Prints, and writes to
benchmarks/results/identification_search.json, the seconds of building, of choosing how many images
a search keeps, and of the search itself for 20 candidates per probe; the peak memory of the process
(the gallery is 488 MiB of it); how many of the nearest images and of the candidates are those of
the exact search; and from how many probes on the graph takes less time.
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

from lfw_eval.metrics.identification.faiss_search import (
    build_index,
    require_faiss,
    search_index,
    tune_index,
)
from lfw_eval.metrics.identification.search import Float32Array, search
from lfw_eval.results.environment import environment
from lfw_eval.system.hardware import cpu_count

RESULT = Path(__file__).parent / "results" / "identification_search.json"
DIMENSIONS, DEPTH = 128, 20
# Of FaceNet's embeddings of LFW: the variances fall evenly to none at the 64th, and two images of a
# person are some 0.45 apart, squared.
DEVIATIONS = np.sqrt(np.interp(np.arange(DIMENSIONS), [0, 64], [1, 0])).astype(np.float32)
SPREAD = np.float32(0.54)

Measured = dict[str, Any]


def make(folder: Path, gallery: int, probes: int) -> None:
    """Draw people, and another image of some of them, as .npy."""
    rng = np.random.default_rng(0)
    people = rng.standard_normal((gallery, DIMENSIONS), np.float32)
    mates = people[rng.choice(gallery, probes, replace=False)]
    for name, centres in {"gallery": people, "probes": mates}.items():
        centres += SPREAD * rng.standard_normal(centres.shape, np.float32)
        centres *= DEVIATIONS
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        np.save(folder / f"{name}.npy", centres)


def exact(folder: Path) -> Measured:
    """Matrix products; keeps what it finds for the others to be held against."""
    gallery, probes = _loaded(folder)
    start = time.perf_counter()
    neighbours = search(gallery, probes, DEPTH)
    seconds = {"search": time.perf_counter() - start}
    peak = peak_memory()
    np.save(folder / "rows.npy", neighbours.rows)
    return {"seconds": seconds, "peak": peak} | _recall(folder, neighbours.rows)


def faiss_flat(folder: Path) -> Measured:
    """FAISS's own exact search."""
    gallery, probes = _loaded(folder)
    faiss = require_faiss()
    faiss.omp_set_num_threads(cpu_count())
    start = time.perf_counter()
    index = faiss.IndexFlatL2(DIMENSIONS)
    index.add(gallery)
    built = time.perf_counter()
    rows = index.search(probes, DEPTH)[1]
    seconds = {"build": built - start, "search": time.perf_counter() - built}
    return {"seconds": seconds, "peak": peak_memory()} | _recall(folder, rows)


def faiss_graph(folder: Path) -> Measured:
    """What `--index faiss` does."""
    gallery, probes = _loaded(folder)
    start = time.perf_counter()
    index = build_index(gallery)
    built = time.perf_counter()
    tune_index(index, gallery, probes)
    tuned = time.perf_counter()
    rows = search_index(index, gallery, probes, DEPTH).rows
    seconds = {
        "build": built - start,
        "tune": tuned - built,
        "search": time.perf_counter() - tuned,
    }
    settings = {"images that a search keeps": index.hnsw.efSearch}
    return {"seconds": seconds, "peak": peak_memory()} | settings | _recall(folder, rows)


def _loaded(folder: Path) -> tuple[Float32Array, Float32Array]:
    return np.load(folder / "gallery.npy"), np.load(folder / "probes.npy")


def _recall(folder: Path, rows: np.ndarray) -> Measured:
    right = np.load(folder / "rows.npy")
    common = [len(np.intersect1d(*pair)) for pair in zip(rows, right, strict=True)]
    return {
        "recall of the nearest": float(np.mean(rows[:, 0] == right[:, 0])),
        "recall of the candidates": float(np.mean(common) / DEPTH),
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gallery", type=int, default=1_000_000)
    parser.add_argument("--probes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()

    ways = {"exact": exact, "FAISS flat": faiss_flat, "FAISS graph": faiss_graph}
    fastest: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        in_fresh_process(make, Path(folder), options.gallery, options.probes)
        for _ in range(options.runs):
            for name, way in ways.items():
                run = in_fresh_process(way, Path(folder))
                before = fastest.setdefault(name, run)
                seconds = {
                    part: min(value, before["seconds"][part])
                    for part, value in run["seconds"].items()
                }
                fastest[name] = run | {
                    "seconds": seconds,
                    "peak": max(run["peak"], before["peak"]),
                }

    per_probe = {name: run["seconds"]["search"] / options.probes for name, run in fastest.items()}
    prepared = sum(fastest["FAISS graph"]["seconds"].values())
    prepared -= fastest["FAISS graph"]["seconds"]["search"]
    saved = per_probe["exact"] - per_probe["FAISS graph"]
    for run in fastest.values():
        run["seconds"] = {part: round(value, 3) for part, value in run["seconds"].items()}
        run["peak MiB"] = round(run.pop("peak"))
    content: Measured = {
        "gallery": options.gallery,
        "probes": options.probes,
        "dimensions": DIMENSIONS,
        "candidates": DEPTH,
        **fastest,
        "FAISS flat / exact": round(per_probe["FAISS flat"] / per_probe["exact"], 2),
        "exact / FAISS graph, search alone": round(
            per_probe["exact"] / per_probe["FAISS graph"], 2
        ),
        "graph takes less from so many probes": (round(prepared / saved) if saved > 0 else None),
        "versions": {name: version(name) for name in ("numpy", "faiss-cpu")},
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))


if __name__ == "__main__":
    main()
