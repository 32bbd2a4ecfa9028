"""What a report says of a calibration."""

from dataclasses import dataclass

from lfw_eval.report.page.calibration_charts import (
    chosen_without_study,
    histogram_figure,
    sensitivity_figure,
    shortened,
)
from lfw_eval.report.page.calibration_evidence import CalibrationEvidence, calibration_evidence
from lfw_eval.report.page.figure import Figure
from lfw_eval.results.calibration import CalibrationDescription

_LAYERS = 20
_HISTOGRAMS = 6


@dataclass(frozen=True, eq=False)
class CalibrationSection:
    """The calibration of one run, its figures, and what is missing for more."""

    label: str
    calibration: CalibrationDescription
    sensitivity: Figure | None
    histograms: tuple[Figure, ...]
    missing: tuple[str, ...]


def calibration_section(
    label: str, calibration: CalibrationDescription, prefix: str
) -> CalibrationSection:
    """Collect what is on this machine of a calibration."""
    evidence = calibration_evidence(calibration.table_sha256)
    if evidence is None:
        return CalibrationSection(
            label,
            calibration,
            None,
            (),
            (
                "The histograms are not on this machine: no scale table with the sha256 "
                f"{calibration.table_sha256[:12]} lies with the checkpoints; to show them, run "
                "lfw-eval calibrate here with the evaluation's options.",
            ),
        )
    missing = []
    if evidence.study is None:
        missing.append(
            "Which layers are the most sensitive was not measured: run lfw-eval calibrate "
            "--sensitivity with the evaluation's options; shown are the input and some tensors "
            "over the network's depth."
        )
    if not evidence.histograms:
        missing.append("The histograms are gone; run lfw-eval calibrate again.")
    return CalibrationSection(
        label,
        calibration,
        _sensitivity(evidence, prefix),
        tuple(_histograms(evidence, prefix)),
        tuple(missing),
    )


def _sensitivity(evidence: CalibrationEvidence, prefix: str) -> Figure | None:
    study = evidence.study
    if study is None:
        return None
    return sensitivity_figure(study.layers, study.network.drop, _LAYERS, study.images, prefix)


def _histograms(evidence: CalibrationEvidence, prefix: str) -> list[Figure]:
    method = evidence.table.method
    return [
        histogram_figure(
            tensor,
            evidence.histograms[tensor],
            evidence.table.amax[tensor],
            method,
            reason,
            f"{prefix}histogram-{number}",
        )
        for number, (tensor, reason) in enumerate(_tensors(evidence).items(), start=1)
    ]


def _tensors(evidence: CalibrationEvidence) -> dict[str, str]:
    """The tensors to show, and why."""
    known = [name for name in evidence.histograms if name in evidence.table.amax]
    if not known:
        return {}
    if evidence.study is None or not evidence.inputs:
        return dict.fromkeys(chosen_without_study(known), "")
    found: dict[str, str] = {}
    for rank, layer in enumerate(evidence.study.layers, start=1):
        tensor = evidence.inputs.get(layer, "")
        # A max pooling's output has its input's histogram, which is not kept twice.
        if tensor in evidence.histograms and tensor in evidence.table.amax:
            found.setdefault(tensor, f"Input of {shortened(layer)}, number {rank} in sensitivity.")
        if len(found) == _HISTOGRAMS:
            break
    return found
