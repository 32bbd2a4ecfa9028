"""The calibration section of a report."""

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
    """The calibration of a run, its figures, and what is missing."""

    label: str
    calibration: CalibrationDescription
    sensitivity: Figure | None
    histograms: tuple[Figure, ...]
    missing: tuple[str, ...]


def calibration_section(
    label: str, calibration: CalibrationDescription, prefix: str
) -> CalibrationSection:
    """Collect what this machine has of a calibration."""
    refinement = calibration.refinement
    # Histograms are of the checkpoint, from whose calibration a refinement starts.
    table = refinement.calibrated_sha256 if refinement else calibration.table_sha256
    evidence = calibration_evidence(table)
    if evidence is None:
        return CalibrationSection(
            label,
            calibration,
            None,
            (),
            (
                "The histograms are not on this machine: no scale table beside the checkpoints has "
                f"the sha256 {table[:12]}; to show them, run lfw-eval calibrate "
                "here with the options of the evaluation.",
            ),
        )
    missing = []
    if refinement:
        missing.append("Sensitivity and histograms are of the network before it was refined.")
    if evidence.study is None:
        missing.append(
            "Layer sensitivity was not measured: run lfw-eval calibrate --sensitivity with the "
            "options of the evaluation; until then, the histograms shown are those of the input "
            "and of tensors spread over the network's depth."
        )
    if not evidence.histograms:
        missing.append("The histograms no longer exist; rerun lfw-eval calibrate.")
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
    """Return the tensors to show, with the reason for each."""
    tensors = [name for name in evidence.histograms if name in evidence.table.amax]
    if not tensors:
        return {}
    if evidence.study is None or not evidence.inputs:
        return dict.fromkeys(chosen_without_study(tensors), "")
    reasons: dict[str, str] = {}
    for rank, layer in enumerate(evidence.study.layers, start=1):
        tensor = evidence.inputs.get(layer, "")
        # The output of a max pooling shares its input's histogram, which is stored once.
        if tensor in evidence.histograms and tensor in evidence.table.amax:
            reasons.setdefault(tensor, f"Input of {shortened(layer)}, rank {rank} by sensitivity.")
        if len(reasons) == _HISTOGRAMS:
            break
    return reasons
