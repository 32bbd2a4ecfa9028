"""Pairs of embedded images scored: exact, or counted in a histogram where there are too many."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.bulk.embedding_shards import EmbeddingShards
from lfw_eval.bulk.pair_blocks import PairBlock
from lfw_eval.metrics.verification.distance import SAME
from lfw_eval.metrics.verification.pooled import evaluate_pooled, pooled_distances
from lfw_eval.metrics.verification.pooled_result import PooledResult
from lfw_eval.metrics.verification.score_histogram import ScoreHistogram
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import allocate_array, replacing

EXACT = 1 << 26
"""Pairs whose distances are kept and ranked: 10 bytes each where few are genuine, up to some 70
where half of them are."""


def unit_embeddings(shards: EmbeddingShards) -> tuple[list[str], NDArray[np.float32]]:
    """Return names and embeddings of length 1, float32 (n, d), memory-mapped.

    They are written to `unit.npy` beside the shards, so that memory holds one shard at a time.

    Raises:
        UserError: Shards are missing, an embedding is not finite or of length 0, or all are the
            same.
    """
    names: list[str] = []
    distinct = False
    path = shards.folder / "unit.npy"
    with shards.locked(), replacing(path) as temporary:
        count, unit = shards.images(), None
        for read, values in shards.read_parts():
            if unit is None:
                unit = allocate_array(temporary, (count, values.shape[1]), np.float32)
            length = np.linalg.norm(values, axis=1, keepdims=True)
            bad = ~(np.isfinite(length) & (length > 0))[:, 0]
            if bad.any():
                raise UserError(
                    f"the embedding of {read[int(np.argmax(bad))]} in {shards.folder} is not "
                    "finite or of length 0",
                    "embed with another precision",
                )
            if len(names) + len(read) <= count:
                unit[len(names) : len(names) + len(read)] = values / length
            names += read
            squared = np.sum(np.square(values / length - unit[0]), axis=1)
            distinct = distinct or bool(np.max(squared, initial=0) > SAME)
        if unit is None or len(names) != count:
            raise UserError(
                f"{shards.folder} holds {len(names):,} embeddings, not the {count:,} written",
                "rerun the command that wrote it to resume",
            )
        if count > 1 and not distinct:
            raise UserError(
                f"all {count:,} embeddings in {shards.folder} are the same",
                "check the network's weights and the normalisation of its input, and embed again",
            )
        unit.flush()
        # This very file: the next run of the same puts another one in its place.
        mapped: NDArray[np.float32] = open_memmap(temporary, mode="r")
    return names, mapped


def score(
    unit: NDArray[np.float32], blocks: Iterable[PairBlock], exact: int = EXACT
) -> PooledResult:
    """Score pairs, in memory that depends on `exact`, not on how many there are.

    Args:
        unit: Embeddings of length 1, (n, d).
        blocks: The pairs.
        exact: How many pairs are ranked; with more, all are counted in a `ScoreHistogram`, and the
            result says how far that can be off.

    Raises:
        UserError: There are fewer than two pairs of a kind.
    """
    ranked: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
    histogram: ScoreHistogram | None = None
    done = 0
    for distances, genuine in _scored(unit, blocks):
        done += len(distances)
        ranked.append((distances, genuine))
        if done > exact:
            for part in ranked:
                counted = ScoreHistogram.count(*part)
                histogram = histogram.merge(counted) if histogram else counted
            ranked = []
    if histogram:
        return histogram.evaluate()
    if not ranked:
        raise UserError("there are no pairs to score", "give a file that holds some")
    distances = np.concatenate([distances for distances, _ in ranked])
    genuine = np.concatenate([genuine for _, genuine in ranked])
    ranked.clear()
    return evaluate_pooled(distances, genuine)


def _scored(
    unit: NDArray[np.float32], blocks: Iterable[PairBlock]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    with tqdm(desc="score", unit="pair", unit_scale=True, disable=None) as bar:
        for block in blocks:
            yield pooled_distances(unit, block.left, block.right), block.genuine
            bar.update(len(block.genuine))
