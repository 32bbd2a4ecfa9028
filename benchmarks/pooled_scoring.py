"""Score millions of pairs without folds, and scikit-learn's `roc_curve` on the same distances.

Usage: python benchmarks/pooled_scoring.py [--pairs N] [--images N] [--runs N]

15 million pairs as IJB-C's: 470,000 synthetic embeddings of 128 dimensions of 3,500 people, 20,000
pairs of them genuine. All take turns, in processes of their own, and the fastest run counts:

- lfw-eval: distances of all pairs; then AUC, EER, VAL at FAR 1e-6 to 0.1 and the ROC;
- counted: the same metrics of the same distances through a histogram, with its stated error;
- scikit-learn: `roc_curve` of the same distances; then AUC, EER and VAL read off it.

Prints, and writes to benchmarks/results/pooled_scoring.json, the seconds, the peak memory of each
process (that of the first with all embeddings and pairs), the ratios, and how far the metrics are
apart.
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

from lfw_eval.metrics.verification.pooled import FAR_TARGETS, evaluate_pooled, pooled_distances
from lfw_eval.metrics.verification.pooled_result import PooledResult
from lfw_eval.metrics.verification.score_histogram import ScoreHistogram
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "pooled_scoring.json"
PEOPLE, DIMENSIONS, GENUINE = 3500, 128, 20_000

Measured = dict[str, Any]


def make(folder: Path, images: int, pairs: int) -> None:
    """Embeddings about their person's centre, some far from it, and pairs of them, as .npy."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((PEOPLE, DIMENSIONS), np.float32)
    person = np.arange(images) % PEOPLE
    spread = np.exp(rng.normal(-0.2, 0.35, (images, 1))).astype(np.float32)
    unit = centres[person] + spread * rng.standard_normal((images, DIMENSIONS), np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    left = rng.integers(0, images, pairs, np.int32)
    right = rng.integers(0, images, pairs, np.int32)
    share = GENUINE / pairs
    mated = np.flatnonzero(rng.random(pairs) < share)
    moved = rng.integers(0, images // PEOPLE, len(mated)) * PEOPLE + left[mated] % PEOPLE
    right[mated] = moved
    genuine = person[left] == person[right]
    for name, array in {"unit": unit, "left": left, "right": right, "genuine": genuine}.items():
        np.save(folder / f"{name}.npy", array)


def ours(folder: Path) -> Measured:
    """Score and evaluate; keeps the distances for the others."""
    unit, left, right, genuine = (
        np.load(folder / f"{name}.npy") for name in ("unit", "left", "right", "genuine")
    )
    start = time.perf_counter()
    distances = pooled_distances(unit, left, right)
    scored = time.perf_counter()
    result = evaluate_pooled(distances, genuine)
    end = time.perf_counter()
    peak = peak_memory()
    np.save(folder / "distances.npy", distances)
    return _measured(result) | {
        "seconds": {"distances": scored - start, "metrics": end - scored},
        "peak": peak,
    }


def counted(folder: Path) -> Measured:
    """Evaluate through a histogram."""
    distances, genuine = np.load(folder / "distances.npy"), np.load(folder / "genuine.npy")
    start = time.perf_counter()
    result = ScoreHistogram.count(distances, genuine).evaluate()
    return _measured(result) | {
        "seconds": {"metrics": time.perf_counter() - start},
        "peak": peak_memory(),
        "stated error": {
            "AUC": result.auc_error,
            "EER": result.eer_error,
            **{f"VAL at FAR {rate.far_target:g}": rate.error for rate in result.val},
        },
    }


def scikit_learn(folder: Path) -> Measured:
    """Evaluate as one does with `roc_curve`."""
    from sklearn.metrics import auc, roc_curve

    distances, genuine = np.load(folder / "distances.npy"), np.load(folder / "genuine.npy")
    start = time.perf_counter()
    far, tar, _ = roc_curve(genuine, -distances)
    curve = time.perf_counter()
    gap = far + tar - 1
    last = int(np.flatnonzero(gap <= 0)[-1])
    metrics = {
        "AUC": float(auc(far, tar)),
        "EER": float(np.interp(0, gap[last : last + 2], far[last : last + 2])),
    }
    for target in FAR_TARGETS:
        metrics[f"VAL at FAR {target:g}"] = float(tar[far <= target].max())
    end = time.perf_counter()
    return {
        "metrics": metrics,
        "seconds": {"roc_curve": curve - start, "metrics": end - start},
        "peak": peak_memory(),
    }


def _measured(result: PooledResult) -> Measured:
    rates = {f"VAL at FAR {rate.far_target:g}": rate.value for rate in result.val}
    return {
        "metrics": {"AUC": result.auc.value, "EER": result.eer.value, **rates},
        "genuine": result.genuine,
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=15_000_000)
    parser.add_argument("--images", type=int, default=470_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()

    ways = {"lfw-eval": ours, "counted": counted, "scikit-learn": scikit_learn}
    runs: dict[str, list[Measured]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        in_fresh_process(make, Path(folder), options.images, options.pairs)
        for _ in range(options.runs):
            for name, way in ways.items():
                runs[name].append(in_fresh_process(way, Path(folder)))

    seconds = {
        name: {part: min(run["seconds"][part] for run in done) for part in done[0]["seconds"]}
        for name, done in runs.items()
    }
    peaks = {name: max(run["peak"] for run in done) for name, done in runs.items()}
    metrics = {name: done[0]["metrics"] for name, done in runs.items()}
    content: Measured = {
        "pairs": options.pairs,
        "genuine": runs["lfw-eval"][0]["genuine"],
        "images": options.images,
        "dimensions": DIMENSIONS,
        "seconds": {
            name: {part: round(value, 3) for part, value in parts.items()}
            for name, parts in seconds.items()
        },
        "peak MiB": {name: round(peak) for name, peak in peaks.items()},
        "roc_curve / our metrics": round(
            seconds["scikit-learn"]["roc_curve"] / seconds["lfw-eval"]["metrics"], 2
        ),
        "roc_curve / our distances and metrics": round(
            seconds["scikit-learn"]["roc_curve"] / sum(seconds["lfw-eval"].values()), 2
        ),
        "metrics": metrics["lfw-eval"],
        "largest difference": {
            name: max(abs(metrics[name][key] - value) for key, value in metrics["lfw-eval"].items())
            for name in ("scikit-learn", "counted")
        },
        "stated error of counted": runs["counted"][0]["stated error"],
        "versions": {name: version(name) for name in ("numpy", "scikit-learn")},
        "environment": asdict(environment()),
    }
    print(write_json(RESULT, content))


if __name__ == "__main__":
    main()
