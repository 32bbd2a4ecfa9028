"""The confusion matrix of decisions, and precision, recall and F1 from it."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.verification.arrays import BoolArray


@dataclass(frozen=True)
class Confusion:
    """Counts of pairs; positive means decided to be genuine."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def precision(self) -> float:
        """Share of the pairs decided to be genuine that are; 0 where there is no such pair."""
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of the genuine pairs that are decided to be; 0 where there is no genuine pair."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        errors = self.false_positive + self.false_negative
        return _share(2 * self.true_positive, 2 * self.true_positive + errors)


def confusion(decisions: BoolArray, genuine: BoolArray) -> Confusion:
    """Counts decisions `(n,)` against the truth `(n,)`."""
    return Confusion(
        true_positive=int(np.sum(decisions & genuine)),
        false_positive=int(np.sum(decisions & ~genuine)),
        false_negative=int(np.sum(~decisions & genuine)),
        true_negative=int(np.sum(~decisions & ~genuine)),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
