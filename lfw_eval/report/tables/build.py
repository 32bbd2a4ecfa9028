"""The table of a built engine."""

from collections.abc import Iterator

from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.pipelines.side_by_side import describe_engine
from lfw_eval.report.arithmetic import share_and_layers
from lfw_eval.report.scales import cache_coverage, cache_title
from lfw_eval.report.tables.side_by_side import executed_notes
from lfw_eval.results.engine import ModelDescription


def build_table(engine: Engine, precision: Precision, model: ModelDescription) -> str:
    """Return the engine as lines of plain text."""
    about = describe_engine(engine, precision)
    rows = [
        ("precision", f"{model.label(precision)}: {engine.arithmetic}"),
        *([("refined", engine.refinement)] if engine.refinement else []),
        ("multiply-adds", share_and_layers(about)),
        ("runtime", f"{engine.runtime()} on {engine.device}"),
        *_scales(engine),
        ("key", engine.key),
        *((f"input {s.name}", f"{s.dtype} {s.shape}") for s in engine.inputs),
        *((f"output {s.name}", f"{s.dtype} {s.shape}") for s in engine.outputs),
    ]
    if engine.size:
        rows.append(("file", f"{engine.path}, {engine.size / 1e6:.1f} MB"))
    if engine.build_seconds:
        rows.append(("built in", f"{engine.build_seconds:.1f} s, in this run or an earlier one"))
    if engine.adaptation:
        rows.append(("adapted", engine.adaptation))
    width = max(len(label) for label, _ in rows) + 2
    lines = [f"{label:<{width}}{value}" for label, value in rows]
    return "\n".join([*lines, *executed_notes(about)])


def _scales(engine: Engine) -> Iterator[tuple[str, str]]:
    if cache := engine.calibration_cache:
        yield "scales", f"from {cache_title(cache)}"
        yield "", cache_coverage(cache)
