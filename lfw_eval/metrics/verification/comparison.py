"""Two runs on the same pairs, compared pair by pair."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from lfw_eval.metrics.verification.distance import normalise
from lfw_eval.metrics.verification.metric import Metric, mean_over_folds, standard_error
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """What changed from a reference run to a candidate."""

    right_to_wrong: int
    """Pairs that only the reference decided rightly."""
    wrong_to_right: int
    """Pairs that only the candidate decided rightly."""
    p_value: float
    """Exact two-sided McNemar test; 1 where no pair changed sides."""
    accuracy_difference: Metric
    """ACC of the candidate minus that of the reference, its standard error paired by fold."""


@dataclass(frozen=True)
class CosineSimilarity(Metric):
    """Mean cosine between two embeddings of the same images."""

    minimum: float


def compare(reference: VerificationResult, candidate: VerificationResult) -> Comparison:
    """Compares the decisions of two runs on the same pairs.

    A pair changes sides where its decision does, each run deciding at its own thresholds. If both
    runs were equally good, each such pair would be as likely to turn right as wrong (McNemar 1947),
    so the p-value is an exact binomial one.

    Raises:
        UserError: If the runs are not of the same pairs in the same order.
    """
    same_pairs = np.array_equal(reference.genuine, candidate.genuine)
    if not (same_pairs and np.array_equal(reference.fold, candidate.fold)):
        raise UserError(
            f"The reference has {len(reference.genuine)} pairs and the candidate "
            f"{len(candidate.genuine)}, or they differ in truth or fold",
            "compare runs of one pair list.",
        )
    was_right = reference.decisions == reference.genuine
    is_right = candidate.decisions == candidate.genuine
    right_to_wrong = int(np.sum(was_right & ~is_right))
    wrong_to_right = int(np.sum(~was_right & is_right))
    changed = right_to_wrong + wrong_to_right
    per_fold = np.subtract(candidate.accuracy.per_fold, reference.accuracy.per_fold)
    return Comparison(
        right_to_wrong=right_to_wrong,
        wrong_to_right=wrong_to_right,
        p_value=float(binomtest(right_to_wrong, changed).pvalue) if changed else 1.0,
        accuracy_difference=mean_over_folds(per_fold, n=len(was_right)),
    )


def mean_cosine(reference: ArrayLike, candidate: ArrayLike) -> CosineSimilarity:
    """Cosine similarity of each image's two embeddings: mean, its standard error, and minimum.

    Args:
        reference: `(images, d)`, at least two images.
        candidate: `(images, d)`, the same images in the same order.

    Raises:
        UserError: If the shapes differ, or an embedding is not finite or of length zero.
    """
    a, b = normalise(reference), normalise(candidate)
    if a.shape != b.shape:
        raise UserError(
            f"Embeddings of shape {a.shape} and {b.shape} cannot be compared image by image",
            "give two of the same model and images.",
        )
    cosine = np.sum(a * b, axis=1)
    return CosineSimilarity(
        value=float(np.mean(cosine)),
        n=len(cosine),
        standard_error=standard_error(cosine),
        higher_is_better=True,
        minimum=float(np.min(cosine)),
    )
