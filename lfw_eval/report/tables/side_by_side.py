"""The lines that tables of a reference and a candidate share."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from calibration.sampler import MIN_CROPS
from lfw_eval.report.arithmetic import fallbacks, layers, multiply_adds, shortfall
from lfw_eval.report.scales import cache_coverage, cache_title
from lfw_eval.results.calibration import CalibrationDescription, RefinementDescription
from lfw_eval.results.compared import Compared, compared_runs
from lfw_eval.results.engine import EngineDescription, EnginePass, ModelDescription
from lfw_eval.results.speed import PairedSpeed
from lfw_eval.system.machine_load import MachineLoad
from lfw_eval.system.printing import counted

_LABEL, _COLUMN, _WIDTH, _NOTE = 26, 22, 100, 12
UNRESOLVED = "unresolved"
"""Stands for a rate whose threshold the pairs at hand do not bound."""


def row(label: str, cells: list[str], change: str = "") -> str:
    """Return a line with a cell per precision, and the change between the two.

    Two spaces stand before each cell, however long it is.
    """
    columns = "".join(f"  {cell:>{_COLUMN - 2}}" for cell in cells)
    return f"{label:<{_LABEL}}{columns}  {change:>10}".rstrip()


def heading(result: Compared, title: str) -> str:
    """Return which networks were evaluated, on the data of that title."""
    if result.candidate_model:
        return f"{result.candidate_model.name} beside {result.model.name} on {title}"
    return f"{result.model.name} on {title}"


def title_rows(result: Compared) -> Iterator[str]:
    """Yield what the columns are of: precisions, networks, and which came quantised."""
    runs = compared_runs(result)
    yield row("", [run.engine.title for _, run in runs], "change" if len(runs) > 1 else "")
    if result.candidate_model:
        yield row("network", [_shortened(model.name) for model, _ in runs])
    if any(model.quantization for model, _ in runs):
        given = [f"as given: {m.quantization}" if m.quantization else "" for m, _ in runs]
        yield row("quantised", given)


def network_notes(result: Compared) -> Iterator[str]:
    """Yield notes on networks that came quantised, how they were adapted, and on normalisations."""
    runs = compared_runs(result)
    for model, run in runs:
        if model.quantization:
            label = model.label(run.engine.title)
            yield f"quantised   {model.name}: {label}, run as it is and not calibrated here"
        if run.engine.adaptation:
            yield from _indented(f"{model.name}: {run.engine.adaptation}")
    if result.candidate and result.cosine is None:
        yield "            no mean cosine: the embeddings are of different lengths"
    yield f"normalised  {normalisations([model for model, _ in runs])}"


def normalisations(models: Sequence[ModelDescription]) -> str:
    """Return how networks' inputs are normalised, by network where that differs."""
    ways = list(dict.fromkeys(model.normalised for model in models))
    return ", ".join(ways if len(ways) == 1 else (f"{m.name} {m.normalised}" for m in models))


def cosine_label(result: Compared) -> str:
    """Return what a mean cosine is to."""
    dummy = result.reference.engine.is_dummy
    plain = result.candidate_model is None and result.model.quantization is None and not dummy
    return f"mean cosine to {'FP32' if plain else 'reference'}"


def _shortened(name: str) -> str:
    return name if len(name) <= _COLUMN - 2 else f"…{name[-_COLUMN + 3 :]}"


def _indented(text: str) -> list[str]:
    margin = " " * _NOTE
    return wrap(text, _WIDTH, initial_indent=margin, subsequent_indent=margin)


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
        yield from _indented(words)


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
        bounds = speed.ratio.interval
        certainty = (
            f"95 % interval {interval(bounds, '.2f')}" if bounds else "too few for an interval"
        )
        yield (
            f"speed       x{speed.ratio.value:.2f} in {len(speed.ratios)} windows of each in turn, "
            f"{certainty}"
        )
        yield from load_notes(speed.load)


def load_notes(load: MachineLoad) -> Iterator[str]:
    """Yield a note on what other processes took meanwhile, where it matters."""
    if load.busy:
        yield f"            *** MACHINE BUSY: {load.words} ***"


def engine_note(judged: EnginePass) -> str:
    """Return the note on the engine that ran."""
    engine = judged.engine
    return f"engine      {engine.runtime} on {engine.device}, batch {judged.batch_size}"


def reference_notes(reference: EnginePass) -> Iterator[str]:
    """Yield a note if the reference comes from an earlier run."""
    if reference.from_cache:
        name = reference.engine.title
        yield f"            {name}'s embeddings from cache, of a run on {reference.measured}"


def calibration_notes(
    calibration: CalibrationDescription | None, warning: str = "EVALUATED"
) -> Iterator[str]:
    """Yield notes on the images that INT8 was calibrated on.

    Args:
        warning: What calibration images also are that are evaluated.
    """
    if calibration is None:
        return
    yield f"calibrated  on {calibrated_on(calibration)}"
    if calibration.evaluated:
        drawn = calibration.origin.startswith("drawn from")
        why = "THE DATA SET HAS TOO FEW OTHER IMAGES" if drawn else "THE LIST CONTAINS THEM"
        yield f"            *** {calibration.evaluated:,} OF THEM ARE ALSO {warning}: {why} ***"
    for words in sample_notes(calibration):
        yield f"            {words}"
    if calibration.refinement:
        yield from refinement_notes(calibration.refinement)


def refinement_notes(refinement: RefinementDescription) -> Iterator[str]:
    """Yield notes on how a network was refined for INT8, and what that gained."""
    start, outcome = refinement.start, refinement.outcome
    yield f"refined     by {refinement.recipe}"
    yield (
        f"            mean cosine {start.cosine:.5f} to {outcome.cosine:.5f}, minimum "
        f"{start.minimum:.5f} to {outcome.minimum:.5f}"
    )
    yield f"            on {refinement.held_out:,} of the calibration crops, which were held out"


def cache_notes(engine: EngineDescription) -> Iterator[str]:
    """Yield notes on the calibration cache that INT8 scales come from."""
    if cache := engine.calibration_cache:
        yield f"scales      from {cache_title(cache)}"
        yield f"            {cache_coverage(cache)}"


def calibrated_on(calibration: CalibrationDescription) -> str:
    """Return the number of calibration images, the first batch, and where they come from."""
    batch = f", first batch {calibration.first_batch:,}" if calibration.first_batch else ""
    return f"{counted(calibration.images, 'crop')}{batch}, {calibration.origin}"


def few_images_note(images: int) -> Iterator[str]:
    """Yield a note where INT8 was calibrated on too few images."""
    if images < MIN_CROPS:
        yield f"*** FEWER THAN {MIN_CROPS} IMAGES LEAVE THRESHOLDS TO CHANCE ***"


def sample_notes(calibration: CalibrationDescription) -> Iterator[str]:
    """Yield that INT8 was calibrated on few images, whom they show, and who is evaluated."""
    yield from few_images_note(calibration.images)
    people, evaluated = calibration.people, calibration.evaluated_people
    if calibration.first_batch is None:
        return  # A file of an earlier schema says nothing of people either.
    if people is None:
        yield "people unknown: the calibration images are not named as Name_0001"
    elif evaluated is None:
        yield f"{people:,} people; whether any is evaluated, the names do not tell"
    elif not evaluated:
        yield f"{people:,} people, none of them evaluated"
    else:
        yield f"*** {evaluated:,} OF THEIR {people:,} PEOPLE ARE ALSO EVALUATED ***"
