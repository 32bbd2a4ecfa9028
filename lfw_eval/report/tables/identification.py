"""The table of a 1:N identification: the reference, and a precision or network beside it."""

from collections.abc import Iterator

from lfw_eval.metrics.identification.comparison import Change
from lfw_eval.report.cautions import CAUTIONS
from lfw_eval.report.significance import probability
from lfw_eval.report.tables.side_by_side import (
    UNRESOLVED,
    arithmetic_rows,
    cache_notes,
    calibration_notes,
    cosine_label,
    engine_note,
    executed_notes,
    fps_rows,
    heading,
    network_notes,
    reference_notes,
    row,
    title_rows,
)
from lfw_eval.report.undetected import alignment_note, undetected_caution, undetected_note
from lfw_eval.results.identification import EnrolmentDescription, IdentificationResult
from lfw_eval.system.printing import counted

_RANKS = (5, 10, 20, 50, 100)


def identification_table(result: IdentificationResult) -> str:
    """Return the result as lines of plain text, at most 100 columns wide but for paths."""
    return "\n".join([*_heading(result), "", *_rows(result), "", *_notes(result)])


def _heading(result: IdentificationResult) -> Iterator[str]:
    data = result.data
    people = counted(data.people, "person", "people")
    yield heading(result, data.title)
    yield f"gallery: {counted(data.gallery, 'image')} of {people} ({data.origin})"
    yield f"probes: {data.mated:,} mated, {data.nonmated:,} non-mated"
    if data.caution:
        yield f"*** {CAUTIONS[data.caution]} ***"
    if sentence := undetected_caution(data.alignment, data.undetected, _images(data)):
        yield f"*** {sentence} ***"


def _rows(result: IdentificationResult) -> Iterator[str]:
    runs = [run for run in (result.reference, result.candidate) if run]
    outcomes = [run.outcome for run in runs]
    yield from title_rows(result)
    yield from arithmetic_rows(runs)
    yield _share("rank-1", [outcome.rank1.value for outcome in outcomes])
    yield _interval([outcome.rank1.interval for outcome in outcomes])
    if change := result.rank1_change:
        yield _lost_and_gained(change)
        yield row("  McNemar p", ["", probability(change.p_value)])
    last = len(outcomes[0].cmc)
    for rank in sorted({*(rank for rank in _RANKS if rank < last), last} - {1}):
        yield _share(f"CMC at rank {rank}", [outcome.cmc[rank - 1] for outcome in outcomes])
    for index, rate in enumerate(outcomes[0].tpir):
        rates = [outcome.tpir[index] for outcome in outcomes]
        label = f"TPIR at FPIR {rate.fpir_target:g}"
        intervals = [r.interval for r in rates if r.interval]
        if len(intervals) < len(rates):
            yield row(label, [UNRESOLVED] * len(rates))
            continue
        yield _share(label, [r.value for r in rates])
        yield _interval(intervals)
        yield row("  FPIR reached", [f"{r.fpir:.5f}" for r in rates])
        yield row("  distance threshold", [f"{r.threshold:.4f}" for r in rates])
        if result.candidate:
            changed = result.tpir_changes[index]
            low, high = changed.interval
            yield _lost_and_gained(changed)
            yield row("  95 % of the change", ["", f"{low:+.4f} to {high:+.4f}"])
    yield from fps_rows(runs)
    yield row("search time, s", [f"{run.search.seconds:.2f}" for run in runs])
    recalls = [run.search.recall for run in runs if run.search.recall is not None]
    if recalls:
        yield row("  recall at rank 1", [f"{recall:.3f}" for recall in recalls])
    if result.cosine:
        yield row(cosine_label(result), ["", f"{result.cosine.value:.5f}"])


def _notes(result: IdentificationResult) -> Iterator[str]:
    run, data = result.judged, result.data
    yield "TPIR        mated probes whose mate is at rank 1 and below the distance threshold"
    yield "FPIR        non-mated probes with anybody below that threshold"
    for rate in run.outcome.tpir:
        if rate.unresolved:
            yield f"            {UNRESOLVED}: {rate.unresolved}"
    if not run.outcome.tpir:
        yield "            no TPIR: there are no non-mated probes"
    done = run.search
    kind = "exact" if done.recall is None else "approximate, FAISS (HNSW)"
    yield f"search      {kind}, {done.depth} candidates per probe"
    yield engine_note(run)
    yield from executed_notes(run.engine)
    yield from network_notes(result)
    yield from reference_notes(result.reference)
    missing = undetected_note(data.alignment, data.undetected, _images(data))
    yield f"alignment   {alignment_note(data.alignment, data.aligned_on)}; {missing}"
    yield from cache_notes(run.engine)
    yield from calibration_notes(result.calibration)


def _images(data: EnrolmentDescription) -> int:
    return data.gallery + data.mated + data.nonmated


def _lost_and_gained(change: Change) -> str:
    return row("  lost / gained", ["", f"{change.right_to_wrong} / {change.wrong_to_right}"])


def _share(label: str, values: list[float]) -> str:
    difference = f"{values[1] - values[0]:+.5f}" if len(values) > 1 else ""
    return row(label, [f"{value:.5f}" for value in values], difference)


def _interval(intervals: list[tuple[float, float]]) -> str:
    return row("  95 % interval", ["{:.4f} to {:.4f}".format(*bounds) for bounds in intervals])
