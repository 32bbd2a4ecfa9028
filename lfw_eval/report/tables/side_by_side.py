"""The lines that tables of FP32 beside another precision share."""

from collections.abc import Iterator, Sequence

from lfw_eval.report.arithmetic import fallbacks, layers, multiply_adds, shortfall
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.engine import EngineDescription, EnginePass
from lfw_eval.results.speed import PairedSpeed
from lfw_eval.system.machine_load import MachineLoad

_LABEL, _COLUMN = 26, 22


def row(label: str, cells: list[str], change: str = "") -> str:
    """Return a line with a cell per precision, and the change between the two."""
    columns = "".join(f"{cell:>{_COLUMN}}" for cell in cells)
    return f"{label:<{_LABEL}}{columns}{change:>12}".rstrip()


def arithmetic_rows(passes: Sequence[EnginePass]) -> Iterator[str]:
    """Yield what the engines compute in, and how much of them in the precision of the column."""
    engines = [run.engine for run in passes]
    yield row("arithmetic", [engine.arithmetic for engine in engines])
    if any(engine.executed for engine in engines):
        yield row("  of the multiply-adds", [multiply_adds(engine) for engine in engines])
        yield row("  of the layers", [layers(engine) for engine in engines])


def executed_notes(engine: EngineDescription) -> Iterator[str]:
    """Yield notes where an engine does not do what its precision says."""
    if sentence := shortfall(engine):
        yield f"*** {sentence.upper()} ***"
    for words in fallbacks(engine):
        yield f"            {words}"


def fps_rows(passes: Sequence[EnginePass], speed: PairedSpeed | None = None) -> Iterator[str]:
    """Yield the lines on FPS: of windows in turn with the speed-up, or of the passes."""
    if speed:
        timed = (speed.reference, speed.candidate)
        cells = [f"{fps.median:,.1f}" for fps in timed]
        yield row("FPS, crops to embeddings", cells, f"x{speed.ratio.value:.2f}")
        yield row("  95 % interval", [interval(fps.interval, ",.1f") for fps in timed])
        return
    cells = [f"{run.fps:,.1f}{' (from cache)' * run.from_cache}" for run in passes]
    yield row("FPS, a single pass", cells)


def interval(bounds: tuple[float, float] | None, form: str) -> str:
    """Return an interval's bounds, or a dash where there is none."""
    return f"{bounds[0]:{form}} to {bounds[1]:{form}}" if bounds else "-"


def speed_notes(speed: PairedSpeed | None) -> Iterator[str]:
    """Yield notes on the speed-up, and on the load of the machine."""
    if speed:
        windows = len(speed.candidate.windows)
        yield (
            f"speed       x{speed.ratio.value:.2f} of FP32, 95 % interval "
            f"{interval(speed.ratio.interval, '.2f')}: {windows} windows of each in turn"
        )
        yield from load_notes(speed.load)


def load_notes(load: MachineLoad) -> Iterator[str]:
    """Yield a note on what other processes took meanwhile, where it matters."""
    if load.busy:
        yield f"            *** MACHINE BUSY: {load.words} ***"


def probability(value: float) -> str:
    """Return a p-value with the digits that matter."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def engine_note(judged: EnginePass) -> str:
    """Return the note on the engine that ran."""
    engine = judged.engine
    return f"engine      {engine.runtime} on {engine.device}, batch {judged.batch_size}"


def reference_notes(reference: EnginePass) -> Iterator[str]:
    """Yield a note if FP32 comes from an earlier run."""
    if reference.from_cache:
        yield f"            FP32's embeddings from cache, of a run on {reference.measured}"


def calibration_notes(calibration: CalibrationDescription | None, warning: str) -> Iterator[str]:
    """Yield notes on the images that INT8 was calibrated on.

    Args:
        warning: Ends the sentence about calibration images that are also evaluated.
    """
    if calibration is None:
        return
    batch = f", first batch {calibration.first_batch:,}" if calibration.first_batch else ""
    yield f"calibrated  on {calibration.images:,} crops{batch}, {calibration.origin}"
    if calibration.evaluated:
        yield f"            *** {calibration.evaluated:,} OF THEM ARE ALSO {warning} ***"
    yield f"            {people_note(calibration)}"


def people_note(calibration: CalibrationDescription) -> str:
    """Return whom INT8 was calibrated on, and how many of them are evaluated."""
    people, evaluated = calibration.people, calibration.evaluated_people
    if people is None:
        return "people unknown: the calibration images are not named as Name_0001"
    if evaluated is None:
        return f"{people:,} people; whether any is evaluated, the names do not tell"
    if not evaluated:
        return f"{people:,} people, none of them evaluated"
    return f"*** {evaluated:,} OF THEIR {people:,} PEOPLE ARE ALSO EVALUATED ***"
