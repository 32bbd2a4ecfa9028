"""Counts of the pairs accepted at each threshold: the ROC in whole numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfw_eval.metrics.verification.arrays import FloatArray
from lfw_eval.metrics.verification.eer import EqualErrorRate
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.roc import Roc


@dataclass(frozen=True, eq=False)
class AcceptCounts:
    """The corners of an ROC: pairs strictly below each threshold, from none to all.

    Between two corners either a single class rises, or both by pairs in unknown order: tied
    distances, or those in the same bin.
    """

    thresholds: NDArray[np.float32]
    """Ascending, `(m,)`."""
    impostors: NDArray[np.int64]
    """`(m,)`, from 0 to all."""
    genuines: NDArray[np.int64]
    """`(m,)`, from 0 to all."""

    def thinned(self) -> "AcceptCounts":
        """Return the corners without those on a straight line between their neighbours."""
        moves = np.append(True, (np.diff(self.impostors) > 0) | (np.diff(self.genuines) > 0))
        distinct = self._at(np.flatnonzero(moves))
        flat = np.diff(distinct.genuines) == 0
        steep = np.diff(distinct.impostors) == 0
        inside = (flat[1:] & flat[:-1]) | (steep[1:] & steep[:-1])
        return distinct._at(np.flatnonzero(np.concatenate([[True], ~inside, [True]])))

    def roc(self, points: int | None = None) -> Roc:
        """Return the ROC, or at most `points` of its corners, spread evenly in log FAR and TAR."""
        far = self.impostors / self.impostors[-1]
        tar = self.genuines / self.genuines[-1]
        corners = np.arange(len(far))
        if points is not None and points < len(far):
            decades = np.log10(np.maximum(far, 1 / self.impostors[-1]))
            path = (decades - decades[0]) / (decades[-1] - decades[0] or 1) + tar
            corners = np.unique(np.searchsorted(path, np.linspace(0, path[-1], points)))
        return Roc(self.thresholds[corners].astype(np.float64), far[corners], tar[corners])

    def auc(self) -> Metric:
        """Return AUC with DeLong's standard error, as in `auc.py`; unknown order counts half.

        Pairs between two corners share a placement, so no pair is visited. The sum is over whole
        numbers: the AUC is rounded once. Needs two pairs of each class.
        """
        impostors, genuines = int(self.impostors[-1]), int(self.genuines[-1])
        new_impostors, new_genuines = np.diff(self.impostors), np.diff(self.genuines)
        # Twice the genuine pairs nearer than each new impostor, and vice versa.
        nearer = self.genuines[1:] + self.genuines[:-1]
        nearer_impostors = self.impostors[1:] + self.impostors[:-1]
        value = int(new_impostors @ nearer) / (2 * impostors * genuines)
        of_impostor = nearer / (2 * genuines) - value
        of_genuine = 1 - nearer_impostors / (2 * impostors) - value
        variance = np.sum(new_impostors * np.square(of_impostor)) / (impostors - 1) / impostors
        variance += np.sum(new_genuines * np.square(of_genuine)) / (genuines - 1) / genuines
        return Metric(
            value=value,
            n=impostors + genuines,
            standard_error=float(np.sqrt(variance)),
            higher_is_better=True,
        )

    def eer(self) -> EqualErrorRate:
        """Return the EER, between two of these thresholds, as in `eer.py`."""
        impostors, genuines = int(self.impostors[-1]), int(self.genuines[-1])
        far, frr, thresholds = self.around_eer()
        weight = (frr[0] - far[0]) / (far[1] - far[0] + frr[0] - frr[1])
        rate = float(far[0] + weight * (far[1] - far[0]))
        variance = rate * (1 - rate) / 4 * (1 / impostors + 1 / genuines)
        return EqualErrorRate(
            value=rate,
            n=impostors + genuines,
            standard_error=float(np.sqrt(variance)),
            higher_is_better=False,
            threshold=float(thresholds[0] + weight * (thresholds[1] - thresholds[0])),
        )

    def around_eer(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return FAR, FRR and threshold, all `(2,)`: the last with FAR <= FRR, and the next."""
        far = self.impostors / self.impostors[-1]
        frr = 1 - self.genuines / self.genuines[-1]
        after = int(np.searchsorted(far - frr, 0, side="right"))
        two = slice(after - 1, after + 1)
        return far[two], frr[two], self.thresholds[two].astype(np.float64)

    def _at(self, corners: NDArray[np.intp]) -> "AcceptCounts":
        return AcceptCounts(
            self.thresholds[corners], self.impostors[corners], self.genuines[corners]
        )
