"""Metrics of resampled pairs and images, paired: each resample is of both runs."""

from collections.abc import Callable

import numpy as np

from lfw_eval.metrics.detection.average_precision import Definition, average_precision
from lfw_eval.metrics.detection.precision_recall import PrecisionRecall
from lfw_eval.metrics.detection.protocol import Outcomes
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray
from lfw_eval.metrics.verification.val import THRESHOLDS, threshold_at

RESAMPLES = 1000
_SEED = 20_260_101
_CHUNK = 100

Weighted = Callable[[IntArray], FloatArray]
"""From how often each of n units was drawn, (r, n), to the metric of each resample, (r,)."""


def resampled(baseline: Weighted, candidate: Weighted, strata: IntArray) -> FloatArray:
    """Return candidate minus baseline in `RESAMPLES` bootstrap resamples, the same of both.

    Args:
        strata: (n,), 0 to k - 1; as many units of each are drawn as there are.
    """
    rng = np.random.default_rng(_SEED)
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    differences = []
    for _ in range(RESAMPLES // _CHUNK):
        drawn = np.concatenate(
            [group[rng.integers(len(group), size=(_CHUNK, len(group)))] for group in groups], axis=1
        )
        cells = drawn + len(strata) * np.arange(_CHUNK)[:, None]
        counts = np.bincount(cells.ravel(), minlength=_CHUNK * len(strata)).reshape(_CHUNK, -1)
        differences.append(candidate(counts) - baseline(counts))
    return np.concatenate(differences)


def weighted_eer(distances: FloatArray, genuine: BoolArray) -> Weighted:
    """Return the EER of drawn pairs, as `verification.eer.equal_error_rate` defines it."""
    order = np.argsort(distances, kind="stable")
    kind = genuine[order]
    # Pairs of equal distance are accepted together.
    ends = np.flatnonzero(np.append(np.diff(distances[order]) > 0, [True]))

    def eer(drawn: IntArray) -> FloatArray:
        weights = drawn[:, order]
        far = _rate(np.where(kind, 0, weights), ends)
        frr = 1 - _rate(np.where(kind, weights, 0), ends)
        gap = far - frr
        rows, after = np.arange(len(gap)), np.argmax(gap > 0, axis=1)
        before = after - 1
        weight = -gap[rows, before] / (gap[rows, after] - gap[rows, before])
        crossing: FloatArray = far[rows, before] + weight * (far[rows, after] - far[rows, before])
        return crossing

    return eer


def _rate(weights: IntArray, ends: IntArray) -> FloatArray:
    accepted = np.cumsum(weights, axis=1)
    rates = accepted[:, ends] / accepted[:, -1:]
    return np.concatenate([np.zeros((len(rates), 1)), rates], axis=1)


def weighted_val(
    distances: FloatArray, genuine: BoolArray, fold: IntArray, far_target: float
) -> Weighted:
    """Return the VAL of drawn pairs, as `verification.val.validation_rate` defines it.

    Args:
        distances: (n,), as each pair's own fold sees them.
    """
    folds = int(fold.max()) + 1
    # The first threshold that accepts an impostor pair.
    column = np.searchsorted(THRESHOLDS, distances, side="right")
    impostors = np.flatnonzero(~genuine)
    cells = fold[impostors] * (len(THRESHOLDS) + 1) + column[impostors]
    tests = [np.flatnonzero(genuine & (fold == k)) for k in range(folds)]
    tests = [test[np.argsort(distances[test], kind="stable")] for test in tests]

    def val_of(weights: IntArray) -> float:
        size = folds * (len(THRESHOLDS) + 1)
        counts = np.bincount(cells, weights[impostors], minlength=size).reshape(folds, -1)
        accepted = np.cumsum(counts, axis=1)
        others, vals = accepted.sum(axis=0) - accepted, []
        for k, test in enumerate(tests):
            threshold = threshold_at(far_target, others[k, :-1] / others[k, -1])
            below = np.searchsorted(distances[test], threshold, side="left")
            vals.append(weights[test[:below]].sum() / weights[test].sum())
        return float(np.mean(vals))

    return lambda drawn: np.array([val_of(weights) for weights in drawn])


def weighted_ap(outcomes: Outcomes, definition: Definition) -> Weighted:
    """Return AP of drawn images; scores that tie are accepted together."""
    order = np.argsort(-outcomes.scores, kind="stable")
    scores, hit, image = outcomes.scores[order], outcomes.hit[order], outcomes.image[order]
    ends = np.flatnonzero(np.append(np.diff(scores) < 0, [True] * bool(len(scores))))

    def ap_of(weights: IntArray) -> float:
        drawn = weights[image]
        hits, false = (np.cumsum(drawn * kind)[ends] for kind in (hit, ~hit))
        # Before the first detection of a drawn image there is no precision.
        reached = hits + false > 0
        faces = int(weights @ outcomes.faces)
        curve = PrecisionRecall(
            scores[ends][reached], hits[reached], false[reached], faces, len(weights)
        )
        return average_precision(curve, definition)

    return lambda drawn: np.array([ap_of(weights) for weights in drawn])
