"""Compare two runs on the same pairs, pair by pair."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lfw_eval.metrics.distributions import sign_test
from lfw_eval.metrics.paired.accuracy_change import AccuracyChange, accuracy_change
from lfw_eval.metrics.verification.distance import normalise
from lfw_eval.metrics.verification.metric import Metric, standard_error
from lfw_eval.metrics.verification.protocol import VerificationResult
from lfw_eval.system.errors import UserError, require_type


@dataclass(frozen=True)
class Comparison:
    """The changes from a reference run to a candidate."""

    right_to_wrong: int
    """Pairs that only the reference decided correctly."""
    wrong_to_right: int
    """Pairs that only the candidate decided correctly."""
    mcnemar_p: float
    """Exact two-sided McNemar test (1947) of the decisions at the thresholds that each run has: as
    if they were fixed, which those of ACC are not. 1 if no decision changed."""
    accuracy_change: AccuracyChange
    """The change of ACC, and how far chance explains it."""


@dataclass(frozen=True)
class CosineSimilarity(Metric):
    """Mean cosine between two embeddings of the same images."""

    minimum: float


def compare(reference: VerificationResult, candidate: VerificationResult) -> Comparison:
    """Compare the decisions of two runs on the same pairs.

    Each run decides at its own thresholds. Whether ACC changes by more than chance is judged by
    `accuracy_change`, which trains thresholds anew.

    Args:
        reference: Such as FP32.
        candidate: Such as INT8, on the same pairs in the same order.

    Raises:
        UserError: The runs are not of the same pairs in the same order, or no such results.

    Example:
        >>> from lfw_eval import compare, evaluate, load_engine, open_dataset
        >>> faces = open_dataset("celebrities")
        >>> with load_engine("facenet-keras") as network:
        ...     embeddings = network.embed(faces.crop_store().crops)
        >>> exact = evaluate(embeddings, faces.pairs)
        >>> changed = compare(exact, evaluate(embeddings.round(5), faces.pairs))
        >>> changed.right_to_wrong + changed.wrong_to_right < 20
        True
        >>> changed.accuracy_change.p_value > 0.001
        True
    """
    for parameter, result in (("reference", reference), ("candidate", candidate)):
        require_type(parameter, result, VerificationResult, "what `evaluate` returns")
    same_pairs = np.array_equal(reference.genuine, candidate.genuine)
    if not (same_pairs and np.array_equal(reference.fold, candidate.fold)):
        raise UserError(
            f"the reference has {len(reference.genuine)} pairs and the candidate "
            f"{len(candidate.genuine)}, or they differ in truth or fold",
            "compare runs on the same pair list",
        )
    was_right = reference.decisions == reference.genuine
    is_right = candidate.decisions == candidate.genuine
    right_to_wrong = int(np.sum(was_right & ~is_right))
    wrong_to_right = int(np.sum(~was_right & is_right))
    return Comparison(
        right_to_wrong=right_to_wrong,
        wrong_to_right=wrong_to_right,
        mcnemar_p=sign_test(right_to_wrong, wrong_to_right),
        accuracy_change=accuracy_change(
            reference.distances,
            candidate.distances,
            reference.genuine,
            reference.fold,
            value=candidate.accuracy.value - reference.accuracy.value,
            lost=right_to_wrong,
            gained=wrong_to_right,
        ),
    )


def mean_cosine(reference: ArrayLike, candidate: ArrayLike) -> CosineSimilarity:
    """Return the cosine of each image's two embeddings: mean, its standard error, and minimum.

    Args:
        reference: `(images, d)`, at least two images.
        candidate: `(images, d)`, the same images in the same order.

    Raises:
        UserError: The shapes differ, or an embedding is not finite or of length zero.
    """
    a, b = normalise(reference), normalise(candidate)
    if a.shape != b.shape:
        raise UserError(
            f"embeddings of shape {a.shape} and {b.shape} cannot be compared image by image",
            "give embeddings of the same dimensions and images",
        )
    cosine = np.sum(a * b, axis=1)
    return CosineSimilarity(
        value=float(np.mean(cosine)),
        n=len(cosine),
        standard_error=standard_error(cosine),
        higher_is_better=True,
        minimum=float(np.min(cosine)),
    )
