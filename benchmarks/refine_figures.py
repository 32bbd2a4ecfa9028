"""What embeddings of INT8 are worth beside those of FP32."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.pairs import Pairs
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.protocol import VerificationResult, evaluate

Row = dict[str, Any]


def figures(
    reference: NDArray[np.float32],
    candidate: NDArray[np.float32],
    names: Sequence[str],
    evaluated: Pairs,
    pairs: Pairs,
) -> Row:
    """Return accuracy and cosine of a candidate.

    Args:
        reference: Embeddings of FP32, float32 (n, dimensions).
        candidate: Of the same images.
        names: Of the images, in the order of the embeddings.
        evaluated: Pairs of people who were not calibrated on.
        pairs: All pairs; of them, ACC alone is returned.
    """
    rows = _rows(names, evaluated)
    before, after = reference[rows], candidate[rows]
    exact, verified = _verify(before, evaluated), _verify(after, evaluated)
    comparison, cosine = compare(exact, verified), mean_cosine(before, after)
    everything = _rows(names, pairs)
    return {
        "ACC": verified.accuracy.value,
        "change of ACC": verified.accuracy.value - exact.accuracy.value,
        "right to wrong": comparison.right_to_wrong,
        "wrong to right": comparison.wrong_to_right,
        "p": comparison.accuracy_change.p_value,
        "mean cosine": cosine.value,
        "minimum cosine": cosine.minimum,
        "VAL": verified.val.value,
        "change of VAL": verified.val.value - exact.val.value,
        "FAR": verified.val.far_target,
        "ACC of all pairs": _verify(candidate[everything], pairs).accuracy.value,
    }


def ranges(draws: Mapping[str, Row]) -> dict[str, dict[str, float]]:
    """Return the lowest and highest value of every figure, over draws."""
    rows = list(draws.values())
    return {
        name: {"low": min(row[name] for row in rows), "high": max(row[name] for row in rows)}
        for name, value in rows[0].items()
        if isinstance(value, int | float) and all(name in row for row in rows)
    }


def _verify(embeddings: NDArray[np.float32], pairs: Pairs) -> VerificationResult:
    return evaluate(
        embeddings, pairs.left, pairs.right, pairs.genuine, pairs.fold, names=pairs.names
    )


def _rows(names: Sequence[str], pairs: Pairs) -> NDArray[np.intp]:
    row = {name: index for index, name in enumerate(names)}
    return np.array([row[name] for name in pairs.names], np.intp)
