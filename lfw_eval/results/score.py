"""The result of scoring pairs of embeddings."""

from dataclasses import dataclass

from lfw_eval.metrics.verification.pooled_result import PooledResult


@dataclass(frozen=True)
class ScoreResult:
    """Pairs scored.

    Attributes:
        embeddings: What they are of: source, model, precision, engine, alignment.
        images: How many there are.
        pairs_sha256: Of the file of pairs.
        verification: The metrics.
    """

    embeddings: dict[str, str | int]
    images: int
    pairs_sha256: str
    verification: PooledResult
