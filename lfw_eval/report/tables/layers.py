"""The table of a comparison tensor by tensor: where an engine in INT8 loses accuracy."""

from collections.abc import Iterator
from textwrap import wrap

from lfw_eval.report.arithmetic import share_and_layers
from lfw_eval.report.tables.side_by_side import (
    cache_notes,
    calibrated_on,
    executed_notes,
    few_images_note,
    refinement_notes,
)
from lfw_eval.results.layers import Explanation, LayerComparison, TensorComparison
from lfw_eval.system.printing import first_names, printable

_SHOWN, _NAME, _WIDTH, _MARGIN = 20, 44, 100, 12
COLUMNS = (
    "noise in: noise over signal that comes in at this tensor; SQNR: signal over all of its noise; "
    "step: dB below the worst tensor before it; 1 - cos: mean over the crops; clipped: largest "
    "value over the threshold; channels: range of the largest over that of the median channel. "
    "Little noise early may cost the embeddings more than much noise late: what explains the loss "
    "is measured by them"
)
"""What the columns of the table are."""


def layers_table(result: LayerComparison) -> str:
    """Return the result as lines of plain text, at most 100 columns wide."""
    return "\n".join([*_heading(result), "", *_rows(result), "", *_notes(result)])


def _heading(result: LayerComparison) -> Iterator[str]:
    yield f"{result.model.name} on {result.data}"
    yield f"INT8 beside FP32, tensor by tensor, on {result.crops:,} crops"


def _rows(result: LayerComparison) -> Iterator[str]:
    shown = result.ranked[:_SHOWN]
    yield (
        f"{'    where noise enters':<{_NAME + 4}}{'noise in':>9}{'SQNR':>7}{'step':>7}"
        f"{'1 - cos':>10}{'clipped':>9}{'channels':>10}"
    )
    yield f"{'':<{_NAME + 4}}{'':>9}{'dB':>7}{'dB':>7}"
    explaining = result.explaining_tensors
    for place, tensor in enumerate(shown, 1):
        mark = "*" if tensor.name in explaining else " "
        yield f"{place:>3}{mark}{_shortened(tensor)}{_cells(tensor)}"
    if rest := len(result.tensors) - len(shown):
        yield f"    and {rest:,} more"


def _notes(result: LayerComparison) -> Iterator[str]:
    engine, cosine = result.candidate, result.cosine
    yield f"embeddings  mean cosine to FP32 {cosine.value:.5f}, minimum {cosine.minimum:.5f}"
    yield from _wrapped("", disturbance(result))
    if explanation := result.explanation:
        yield from _wrapped("explained", explained(result, explanation))
        for layer in explanation.layers:
            tensor = result.ranked_layers[layer]
            reads = f", which reads {printable(tensor.name)}" if tensor else ""
            yield f"          * {printable(layer)}{reads}"
    if result.fused:
        count = f"{len(result.fused):,} tensors" if len(result.fused) > 1 else "1 tensor"
        names = first_names([tensor.name for tensor in result.fused])
        yield from _wrapped("fused away", f"{count} that this engine does not have: {names}")
    yield f"engine      {engine.runtime} on {engine.device}, batch {result.batch_size}"
    yield f"            multiply-adds: {share_and_layers(engine)}"
    yield from executed_notes(engine)
    yield from cache_notes(engine)
    if result.calibration:
        yield f"calibrated  on {calibrated_on(result.calibration)}"
        yield from (f"            {words}" for words in few_images_note(result.calibration.images))
        if result.calibration.refinement:
            yield from refinement_notes(result.calibration.refinement)
    yield from _wrapped("columns", COLUMNS)


def disturbance(result: LayerComparison) -> str:
    """Return whether the engine with its tensors put out still computes what it does in use."""
    apart, lost = 1 - result.undisturbed, 1 - result.cosine.value
    if apart < 1e-7:
        return "with its tensors put out the engine gives the same embeddings"
    share = f", {100 * apart / lost:.1f} % of what INT8 loses" if lost > 0 else ""
    return f"with its tensors put out its embeddings are {apart:.1e} of cosine apart{share}"


def explained(result: LayerComparison, explanation: Explanation) -> str:
    """Return how much of the loss which layers explain, in a sentence."""
    count, total = len(explanation.layers), len(result.layers)
    verb = "gives" if count == 1 else "give"
    layers = "layer" if total == 1 else "layers"
    sentence = (
        f"{count:,} of {total:,} {layers} in floating point {verb} back "
        f"{_percent(explanation.given_back)} of the lost cosine: {result.cosine.value:.5f} to "
        f"{explanation.cosine:.5f}, measured on {explanation.engines:,} engines"
    )
    if not explanation.reached:
        sentence += f"; {_percent(explanation.share)} was asked for"
    return sentence


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _wrapped(label: str, text: str) -> list[str]:
    return wrap(text, _WIDTH, initial_indent=f"{label:<{_MARGIN}}", subsequent_indent=" " * _MARGIN)


def _shortened(tensor: TensorComparison) -> str:
    text = f"{printable(tensor.name)} {tensor.operator}"
    if len(text) > _NAME - 1:
        text = printable(tensor.name)
    if len(text) > _NAME - 1:
        text = f"…{text[-_NAME + 2 :]}"
    return f"{text:<{_NAME}}"


def _cells(tensor: TensorComparison) -> str:
    clipped = tensor.largest / tensor.threshold if tensor.threshold else None
    return (
        f"{100 * tensor.entered:>7.2f} %"
        f"{_number(tensor.sqnr, '7.1f')}{_number(tensor.step, '+7.1f')}"
        f"{1 - tensor.cosine:>10.1e}{_number(clipped, '8.1f', 'x')}"
        f"{_number(tensor.spread, '9.1f', 'x')}"
    )


def _number(value: float | None, form: str, unit: str = "") -> str:
    width = int(form.strip("+").partition(".")[0]) + len(unit)
    return f"{'-':>{width}}" if value is None else f"{value:{'>' + form}}{unit}"
