"""The tables over several test sets, a row per set: accuracies, then error rates and FPS."""

from collections.abc import Iterator, Sequence
from textwrap import fill

from lfw_eval.report.cautions import CAUTIONS, reversed_caution
from lfw_eval.report.significance import probability
from lfw_eval.report.tables.side_by_side import (
    UNRESOLVED,
    cache_notes,
    calibrated_on,
    executed_notes,
    normalisations,
    sample_notes,
)
from lfw_eval.report.undetected import alignment_note, undetected_note
from lfw_eval.results.test_sets import SetRates, SetRow, SetsResult
from lfw_eval.system.printing import counted

_WIDTH, _NAME, _NOTE = 100, 18, 12
_ACCURACY_WIDTHS, _RATE_WIDTHS = (12, 20, 20, 11, 12), (11,) * 7
_MISSING = "-"


def testsets_table(result: SetsResult) -> str:
    """Return the result as lines of plain text, at most 100 columns wide but for paths."""
    columns = _columns(result)
    parts = (
        _heading(result),
        _accuracies(result.rows, columns),
        _rates(result.rows, columns),
        _notes(result),
    )
    return "\n\n".join("\n".join(part) for part in parts)


def _heading(result: SetsResult) -> Iterator[str]:
    engine, other = result.engine, result.candidate_model
    beside = f"{other.name} beside " if other else ""
    yield f"{beside}{result.model.name} on {len(result.rows)} sets, flip {result.flip}"
    yield f"{(other or result.model).label(engine.title)}: {engine.arithmetic}"


def _accuracies(rows: Sequence[SetRow], columns: Sequence[str]) -> Iterator[str]:
    compared = ["change", "p"] if rows[0].candidate else []
    names = ["pairs", *(f"ACC {column}" for column in columns), *compared]
    yield _line("set", names, _ACCURACY_WIDTHS)
    for row in rows:
        cells = [_accuracy(rates) for rates in _runs(row)]
        if row.candidate:
            cells += [_change(row.reference, row.candidate), _probability(row.p_value)]
        yield _line(row.name, [f"{row.pairs:,}", *cells], _ACCURACY_WIDTHS)


def _rates(rows: Sequence[SetRow], columns: Sequence[str]) -> Iterator[str]:
    names = [f"{metric} {column}" for metric in ("EER", "VAL", "FPS") for column in columns]
    at = names.index(f"VAL {columns[0]}")
    yield _line("set", [*names[:at], "at FAR", *names[at:]], _RATE_WIDTHS)
    for row in rows:
        runs = _runs(row)
        cells = [f"{rates.eer:.5f}" for rates in runs]
        cells += [f"{runs[0].far_target:g}", *(_val(rates) for rates in runs)]
        cells += [f"{rates.fps:,.1f}{'*' * rates.from_cache}" for rates in runs]
        yield _line(row.name, cells, _RATE_WIDTHS)


def _notes(result: SetsResult) -> Iterator[str]:
    for failure in result.failed:
        yield f"*** {failure.name} FAILED: {failure.reason} ***"
    engine = result.engine
    yield _note("engine", f"{engine.runtime} on {engine.device}, batch {result.batch_size}")
    networks = filter(None, (result.model, result.candidate_model))
    yield _note("normalised", normalisations(list(networks)))
    yield from executed_notes(engine)
    yield from cache_notes(engine)
    if calibration := result.calibration:
        said = f"for all sets, on {calibrated_on(calibration)}"
        if calibration.evaluated:
            said += f" *** {calibration.evaluated:,} OF THEM ARE ALSO EVALUATED ***"
        yield _note("calibrated", said)
        yield from (_note("", words) for words in sample_notes(calibration))
    yield _note("FPS", "of a single pass each: evaluate compares speeds")
    if any(row.reference.from_cache for row in result.rows):
        yield _note("* FPS", "from cache, measured in an earlier run")
    reasons = [(row.name, rates.val_unresolved) for row in result.rows for rates in _runs(row)]
    for name, reason in dict.fromkeys(reasons):
        if reason:
            yield _note("VAL", f"{UNRESOLVED} on {name}: {reason}")
    for row in result.rows:
        missing = undetected_note(row.alignment, row.undetected, row.images)
        undetected = f"; {missing}" if row.undetected else ""
        aligned = alignment_note(row.alignment, row.aligned_on)
        yield _note(row.name, f"{row.title}; {counted(row.images, 'image')}, {aligned}{undetected}")
    for caution in dict.fromkeys(row.caution for row in result.rows if row.caution):
        names = ", ".join(row.name for row in result.rows if row.caution == caution)
        yield fill(f"*** {names}: {CAUTIONS[caution]} ***", _WIDTH)
    for row in result.rows:
        if sentence := reversed_caution(rates.auc for rates in _runs(row)):
            yield fill(f"*** {row.name}: {sentence} ***", _WIDTH)


def _columns(result: SetsResult) -> list[str]:
    if result.candidate_model or result.engine.is_dummy:
        return ["ref.", "cand."]
    return [rates.precision.upper() for rates in _runs(result.rows[0])]


def _runs(row: SetRow) -> list[SetRates]:
    return [row.reference, row.candidate] if row.candidate else [row.reference]


def _accuracy(rates: SetRates) -> str:
    return f"{rates.accuracy:.5f} ± {rates.std:.5f}" if rates.accuracy is not None else _MISSING


def _val(rates: SetRates) -> str:
    return UNRESOLVED if rates.val is None else f"{rates.val:.5f}"


def _change(reference: SetRates, candidate: SetRates) -> str:
    if reference.accuracy is None or candidate.accuracy is None:
        return _MISSING
    return f"{candidate.accuracy - reference.accuracy:+.5f}"


def _probability(value: float | None) -> str:
    return _MISSING if value is None else probability(value)


def _line(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    sized = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
    return f"{name:<{_NAME}}{''.join(sized)}"


def _note(label: str, text: str) -> str:
    return f"{label:<{_NOTE}}{text}"
