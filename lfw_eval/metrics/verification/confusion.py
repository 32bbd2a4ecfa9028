"""The confusion matrix of decisions, and precision, recall and F1 from it."""

from dataclasses import dataclass

import numpy as np

from lfw_eval.metrics.verification.arrays import BoolArray


@dataclass(frozen=True)
class Confusion:
    """Counts of pairs; positive means decided genuine."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def precision(self) -> float:
        """Return the share of genuine pairs among those decided genuine; 0 without such pairs."""
        return _share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Return the share of the genuine pairs decided genuine; 0 without genuine pairs."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall; 0 if both are 0."""
        errors = self.false_positive + self.false_negative
        return _share(2 * self.true_positive, 2 * self.true_positive + errors)


def confusion(decisions: BoolArray, genuine: BoolArray) -> Confusion:
    """Count decisions `(n,)` against the truth `(n,)`."""
    return Confusion(
        true_positive=int(np.sum(decisions & genuine)),
        false_positive=int(np.sum(decisions & ~genuine)),
        false_negative=int(np.sum(~decisions & genuine)),
        true_negative=int(np.sum(~decisions & ~genuine)),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
