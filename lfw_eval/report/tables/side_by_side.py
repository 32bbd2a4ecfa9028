"""What tables share that have FP32 beside the precision that was asked for."""

from collections.abc import Iterator, Sequence

from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.engine import EnginePass

_LABEL, _COLUMN = 26, 22


def row(label: str, cells: list[str], change: str = "") -> str:
    """Return a line with a cell for each precision, and what changes between the two."""
    columns = "".join(f"{cell:>{_COLUMN}}" for cell in cells)
    return f"{label:<{_LABEL}}{columns}{change:>12}".rstrip()


def fps_row(passes: Sequence[EnginePass], speedup: str = "") -> str:
    """Return the line of FPS."""
    cells = [f"{each.fps:,.1f}{' (kept)' * each.from_cache}" for each in passes]
    return row("FPS, crops to embeddings", cells, speedup)


def probability(value: float) -> str:
    """Return a p-value with the digits that matter."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def engine_note(judged: EnginePass) -> str:
    """Return what ran."""
    engine = judged.engine
    return f"engine      {engine.runtime} on {engine.device}, batch {judged.batch_size}"


def reference_notes(reference: EnginePass) -> Iterator[str]:
    """Yield where FP32 comes from, if not from this run."""
    if reference.from_cache:
        yield f"            FP32 is kept from a run on {reference.measured}"


def calibration_notes(calibration: CalibrationDescription | None, warning: str) -> Iterator[str]:
    """Yield what INT8 was calibrated on.

    Args:
        warning: About the crops that are evaluated too, after their number.
    """
    if calibration:
        yield f"calibrated  on {calibration.images:,} crops, {calibration.origin}"
        if calibration.evaluated:
            yield f"            *** {calibration.evaluated:,} OF THEM ARE ALSO {warning} ***"
