"""What a reference and a candidate are called."""

from typing import Protocol

from lfw_eval.metrics.verification.comparison import CosineSimilarity
from lfw_eval.results.engine import EnginePass, ModelDescription


class Compared(Protocol):
    """A result of a reference and, perhaps, a candidate beside it."""

    @property
    def model(self) -> ModelDescription:
        """The reference's network, and the candidate's where that has none of its own."""

    @property
    def candidate_model(self) -> ModelDescription | None:
        """The candidate's own network."""

    @property
    def reference(self) -> EnginePass:
        """The run that is compared with."""

    @property
    def candidate(self) -> EnginePass | None:
        """The run that is judged."""

    @property
    def cosine(self) -> CosineSimilarity | None:
        """How near their embeddings are, where these are of one length."""


def compared_runs(result: Compared) -> list[tuple[ModelDescription, EnginePass]]:
    """Return reference and candidate, if there is one, each with its network."""
    runs: list[tuple[ModelDescription, EnginePass]] = [(result.model, result.reference)]
    if result.candidate:
        runs.append((result.candidate_model or result.model, result.candidate))
    return runs


def names_of(result: Compared) -> list[str]:
    """Return what reference and candidate are called: "FP32", "INT8 (Q/DQ in the checkpoint)".

    Where they are two networks, their names come first: "facenet, FP32".
    """
    runs = compared_runs(result)
    labels = [model.label(run.engine.title) for model, run in runs]
    if result.candidate_model is None:
        return labels
    return [f"{model.name}, {label}" for (model, _), label in zip(runs, labels, strict=True)]
