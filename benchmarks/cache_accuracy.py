"""Measure engines that TensorRT 8.6 built from our caches, beside one from its own cache.

Usage: python benchmarks/cache_accuracy.py GOLDEN PAIRS EMBEDDINGS.npy ... [--device NAME]

GOLDEN holds the embeddings of TensorRT's FP32 engine and of the INT8 engine from its own cache; the
others are what `benchmarks/cache_on_tensorrt.py` wrote, rows in the order of GOLDEN's boxes.
Prints, and writes to benchmarks/results/cache_accuracy.json, ACC, AUC, the cosine to FP32 and the
exact McNemar test against the engine from TensorRT's own cache.
"""

import argparse
from pathlib import Path

import numpy as np
from json_file import write_json
from numpy.typing import NDArray

from lfw_eval.datasets.pairs import Pairs, read_pairs
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.protocol import VerificationResult, evaluate

RESULT = Path(__file__).parent / "results" / "cache_accuracy.json"


def verify(embeddings: NDArray[np.float32], pairs: Pairs) -> VerificationResult:
    """LFW's view 2 of these embeddings."""
    return evaluate(
        embeddings, pairs.left, pairs.right, pairs.genuine, pairs.fold, names=pairs.names
    )


def main() -> None:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("golden", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("embeddings", type=Path, nargs="+")
    parser.add_argument("--device", default="NVIDIA H200, TensorRT 8.6.0")
    options = parser.parse_args()
    pairs = read_pairs(options.pairs)
    own = {
        kind: np.load(options.golden / f"embeddings_trt860_{kind}.npy").astype(np.float32)
        for kind in ("fp32", "int8")
    }
    reference = verify(own["int8"], pairs)
    engines = {"TensorRT's own cache": own["int8"]}
    engines |= {path.stem: np.load(path).astype(np.float32) for path in options.embeddings}
    rows = {}
    for name, embeddings in engines.items():
        verified = verify(embeddings, pairs)
        comparison = compare(reference, verified)
        rows[name] = {
            "ACC": round(verified.accuracy.value, 5),
            "AUC": round(verified.auc.value, 5),
            "mean cosine to FP32": round(mean_cosine(own["fp32"], embeddings).value, 5),
            "mean cosine to TensorRT's own INT8": round(
                mean_cosine(own["int8"], embeddings).value, 5
            ),
            "pairs right to wrong, wrong to right": [
                comparison.right_to_wrong,
                comparison.wrong_to_right,
            ],
            "McNemar p": round(comparison.mcnemar_p, 3),
        }
    print(write_json(RESULT, {"device": options.device, "pairs": len(pairs), "engines": rows}))


if __name__ == "__main__":
    main()
