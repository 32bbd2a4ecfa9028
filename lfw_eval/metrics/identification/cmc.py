"""CMC: the share of mated probes whose mate is among the r nearest people, for r = 1, 2, ..."""

import numpy as np

from lfw_eval.metrics.verification.arrays import FloatArray, IntArray


def mate_ranks(candidates: IntArray, people: IntArray) -> IntArray:
    """Return the rank of each probe's mate among the people of its candidates; 0 if absent.

    A person with several gallery images counts once, at the rank of the nearest.

    Args:
        candidates: The people of each probe's nearest images, nearest first, `(m, depth)`; -1 for
            no image.
        people: The person on each probe, `(m,)`.

    Returns:
        `(m,)`.
    """
    is_mate = candidates == people[:, None]
    place = np.argmax(is_mate, axis=1)
    ranks = [
        len(np.unique(nearest[:ahead])) + 1
        for nearest, ahead in zip(candidates, place, strict=True)
    ]
    return np.where(is_mate.any(axis=1), ranks, 0)


def cmc(ranks: IntArray, largest: int) -> FloatArray:
    """Return the cumulative match characteristic of mated probes, at ranks 1 to `largest`.

    Args:
        ranks: Of the mates `(m,)`, 0 if not among the candidates.
        largest: The last rank.

    Returns:
        `(largest,)`, rising.
    """
    at = np.bincount(ranks[(ranks > 0) & (ranks <= largest)], minlength=largest + 1)
    return np.asarray(np.cumsum(at[1:]) / len(ranks))
