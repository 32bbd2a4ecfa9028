"""Cautions about a data set and what came of it, as sentences for readers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lfw_eval.report.undetected import undetected_caution
from lfw_eval.results.accuracy import DataDescription, EngineRun
from lfw_eval.results.caution import Caution

WEAK_AUC = 0.9
"""Trained face networks reach 0.99 on LFW. So far below, other input than the network was trained
on (normalisation, order of channels, crops) is likelier than a poor network."""

CAUTIONS: Mapping[Caution, str] = {
    "": "",
    "stand-in": "This is NOT LFW: 118 photographs of five people, used because LFW is unavailable. "
    "It validates the pipeline; its accuracy cannot be compared with published numbers.",
    "resized": "The crops were aligned for 112x112 ArcFace networks and resized; this network was "
    "trained on other crops, so its numbers compare precisions, not networks.",
    "drawn": "The pairs were drawn by a seed from folders of people; the numbers compare runs on "
    "these pairs and cannot be compared with published ones.",
}


def accuracy_cautions(
    data: DataDescription, references: Sequence[EngineRun], candidates: Sequence[EngineRun]
) -> Iterator[str]:
    """Yield what a reader must know before the numbers.

    Args:
        references: The runs on the data that others are compared with.
        candidates: The runs that are judged.
    """
    if data.caution:
        yield CAUTIONS[data.caution]
    if sentence := undetected_caution(data.alignment, data.undetected, data.images):
        yield sentence
    runs = [*references, *candidates]
    if sentence := reversed_caution(run.verification.auc.value for run in runs):
        yield sentence
    yield from dict.fromkeys(filter(None, map(_weak_caution, references)))


def reversed_caution(aucs: Iterable[float]) -> str:
    """Return a sentence where an AUC is worse than chance; else nothing."""
    if all(auc >= 0.5 for auc in aucs):
        return ""
    return (
        "AUC below 0.5: distances are the wrong way round, or tell nothing; check the labels of "
        "the pairs"
    )


def _weak_caution(reference: EngineRun) -> str:
    """Return a sentence where a reference is near chance: all changes beside it mean little."""
    auc = reference.verification.auc.value
    if reference.engine.is_dummy or not 0.5 <= auc < WEAK_AUC:
        return ""
    return (
        f"{reference.engine.title} hardly tells people apart (AUC {auc:.2f}): check normalisation, "
        "order of channels and alignment; lfw-eval inspect tries the first two"
    )
