"""Cautions about a data set and what came of it, as sentences for readers."""

from collections.abc import Iterable, Iterator, Mapping

from lfw_eval.report.undetected import undetected_caution
from lfw_eval.results.accuracy import DataDescription
from lfw_eval.results.caution import Caution

CAUTIONS: Mapping[Caution, str] = {
    "": "",
    "stand-in": "This is NOT LFW: 118 photographs of five people, used because LFW is unavailable. "
    "It validates the pipeline; its accuracy cannot be compared with published numbers.",
    "resized": "The crops were aligned for 112x112 ArcFace networks and resized; this network was "
    "trained on other crops, so its numbers compare precisions, not networks.",
    "drawn": "The pairs were drawn by a seed from folders of people; the numbers compare runs on "
    "these pairs and cannot be compared with published ones.",
}


def accuracy_cautions(data: DataDescription, aucs: Iterable[float]) -> Iterator[str]:
    """Yield what a reader must know before the numbers.

    Args:
        aucs: Of all runs on the data.
    """
    if data.caution:
        yield CAUTIONS[data.caution]
    if sentence := undetected_caution(data.alignment, data.undetected, data.images):
        yield sentence
    if sentence := reversed_caution(aucs):
        yield sentence


def reversed_caution(aucs: Iterable[float]) -> str:
    """Return a sentence where an AUC is worse than chance; else nothing."""
    if all(auc >= 0.5 for auc in aucs):
        return ""
    return (
        "AUC below 0.5: distances are the wrong way round, or tell nothing; check the labels of "
        "the pairs"
    )
