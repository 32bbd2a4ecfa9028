"""The table of an inspected checkpoint."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from lfw_eval.checkpoints.onnx_description import OnnxDescription, TensorDescription
from lfw_eval.checkpoints.preprocessing import Preprocessing
from lfw_eval.pipelines.inspection import Adopted, Inspection, TriedOnFaces
from lfw_eval.pipelines.normalisation_trial import MIN_AUC, PUBLISHED, Trial, Tried
from lfw_eval.results.executed import percent
from lfw_eval.system.printing import counted, first_names

_LABEL, _WIDTH = 14, 100
_SHOWN = 4
_ALIKE = 0.01  # of the largest value
_Row = tuple[str, str]


def inspection_table(inspection: Inspection) -> str:
    """Return a line per fact, and a line for each normalisation that was tried."""
    return "\n".join(line for label, words in _rows(inspection) for line in _lines(label, words))


def _lines(label: str, words: str) -> list[str]:
    margin = " " * _LABEL
    return wrap(words, _WIDTH, initial_indent=f"{label:<{_LABEL}}", subsequent_indent=margin) or [
        label
    ]


def _rows(inspection: Inspection) -> Iterator[_Row]:
    adopted = inspection.adopted
    yield "file", f"{inspection.path}: {', '.join(_file(inspection))}"
    shown = inspection.file or (adopted.network if adopted else None)
    if shown:
        yield from _several("input", shown.inputs)
        yield from _several("output", shown.outputs)
    if adopted is None:
        yield "refused", inspection.refusal
        if shown and any(_has_places(output) for output in shown.outputs):
            yield (
                "detector?",
                "its outputs are of places in an image: measure detectors by lfw-eval detect",
            )
        return
    yield "crops", f"{adopted.size}, {_layout(shown)}"
    yield "embedding", f"{adopted.network.outputs[0].name}, {adopted.dimensions} dimensions"
    if inspection.file:
        yield "conversion", "; ".join(_changes(inspection.file, adopted)) or "nothing changes"
    yield from _arithmetic(adopted)
    yield "normalisation", _stated(adopted)
    if inspection.tried:
        yield from _trial_rows(inspection.tried)
        yield from verdict_rows(inspection.tried.trial, adopted.default)
    else:
        yield "not tried", inspection.untried


def _has_places(output: TensorDescription) -> bool:
    """Return whether an output has rows or maps, as boxes and scores have."""
    return len(output.shape) > 2 and output.shape[2:] != (1, 1)


def _several(label: str, tensors: Sequence[TensorDescription]) -> Iterator[_Row]:
    for tensor in tensors[:_SHOWN]:
        yield label, str(tensor)
        label = ""
    if len(tensors) > _SHOWN:
        yield "", f"and {len(tensors) - _SHOWN} more"


def _file(inspection: Inspection) -> Iterator[str]:
    yield inspection.format
    network = inspection.file
    if network is None:
        return
    yield f"opset {network.opset}"
    yield f"IR {network.ir_version}"
    if network.producer:
        yield f"producer {network.producer}"
    yield f"{network.nodes:,} nodes"
    for kind, count in network.weights.items():
        # A zero point is one value in 8 bits.
        if kind.startswith(("float", "bfloat")) or ("int8" in kind and count > 1):
            yield f"{count:,} weights in {kind}"
    if network.files:
        yield f"weights in {first_names(list(network.files))}"
    if network.domains:
        yield f"operators of {', '.join(network.domains)}"


def _layout(network: OnnxDescription | None) -> str:
    if network is None or not network.inputs:
        return "channels first"
    shape = network.inputs[0].shape
    layout = "channels last" if shape[-1] == 3 else "channels first"
    batch = f"exported for a batch of {shape[0]}" if isinstance(shape[0], int) else "any batch"
    return f"{layout}, {batch}"


def _changes(file: OnnxDescription, adopted: Adopted) -> Iterator[str]:
    network = adopted.network
    if file.opset != network.opset:
        yield f"opset {file.opset} to {network.opset}"
    if {"float16", "float64", "bfloat16"} & (file.weights.keys() - network.weights.keys()):
        yield "weights to float32"
    if file.inputs and file.inputs[0].dtype != network.inputs[0].dtype:
        yield f"input from {file.inputs[0].dtype} to {network.inputs[0].dtype}"
    if file.inputs and file.inputs[0].shape[-1] == 3:
        yield "input to channels first"
    if file.inputs and isinstance(file.inputs[0].shape[0], int):
        yield "the batch becomes dynamic"
    if len(file.outputs) > 1:
        kept = network.outputs[0].name
        others = [info.name for info in file.outputs if info.name != kept]
        yield f"outputs left out: {first_names(others)}"
    if file.nodes != network.nodes:
        yield f"{file.nodes:,} nodes to {network.nodes:,}: constants, batch normalisation folded"


def _arithmetic(adopted: Adopted) -> Iterator[_Row]:
    if adopted.quantization:
        yield "quantised", f"{adopted.quantization}: runs as it is, and is not calibrated"
    elif not adopted.quantized:
        yield "INT8", "refused: no Conv over images, Gemm or MatMul has constants for weights"
        return
    if adopted.refinement:
        yield (
            "refined",
            f"by {adopted.refinement}: takes only scales made for it",
        )
    layers = adopted.layers
    if not layers:
        yield "INT8", f"{counted(len(adopted.quantized), 'layer')}; multiply-adds cannot be counted"
        return
    total = sum(layer.multiply_adds for layer in layers)
    eight = [layer for layer in layers if layer.quantized]
    share = sum(layer.multiply_adds for layer in eight) / total
    yield "multiply-adds", f"{total / 1e6:,.1f} million per crop"
    yield (
        "INT8",
        f"{len(eight)} of {counted(len(layers), 'layer')}, {percent(share)} of the multiply-adds",
    )
    floating = [layer for layer in layers if not layer.quantized]
    products = [layer.name for layer in floating if not layer.constants]
    others = [layer.name for layer in floating if layer.constants]
    if products:
        yield "float", f"{first_names(products)}: of two activations, without weights"
    if others:
        yield (
            "float",
            f"{first_names(others)}: only Conv over images, Gemm and MatMul are quantised",
        )


def _stated(adopted: Adopted) -> str:
    if adopted.own_normalisation:
        return f"none, since the graph has its own: {adopted.own_normalisation}"
    return f"{adopted.stated}, as the file says" if adopted.stated else "the file does not say"


def _trial_rows(tried: TriedOnFaces) -> Iterator[_Row]:
    trial = tried.trial
    yield (
        "tried on",
        f"{trial.genuine} genuine pairs of {tried.people} people and the {trial.impostors:,} "
        f"impostor pairs between them, {tried.title}; {tried.alignment}; no face detected in "
        f"{tried.undetected} of {2 * trial.genuine} images",
    )
    yield "", f"{'':<22}{'AUC':>8}  separation  behind the best"
    for place, way in enumerate(trial.tried):
        yield "", _tried_row(way, best=not place)


def _tried_row(tried: Tried, *, best: bool) -> str:
    way = tried.way
    name = f"{PUBLISHED.get(way, way.normalisation)} {way.channel_order.upper()}"
    if tried.separation is None or tried.auc is None:
        return f"{name:<22}  embeddings that cannot be compared"
    behind = "" if best else f"{tried.behind:.3f} ± {tried.standard_error:.3f}"
    note = "" if best or tried.worse else "  not told apart"
    return f"{name:<22}{tried.auc:>8.4f}  {tried.separation:>10.3f}  {behind:>15}{note}".rstrip()


def verdict_rows(trial: Trial, default: Preprocessing | None) -> Iterator[_Row]:
    """Yield what to take from a trial.

    Args:
        default: How crops are normalised where nothing is asked for; None if that is refused.
    """
    if not trial.recognises:
        area = trial.tried[0].auc
        reached = "no embeddings can be compared" if area is None else f"the best AUC is {area:.2f}"
        yield (
            "cannot tell",
            f"{reached}: below {MIN_AUC}, the network does not recognise these faces. Its weights "
            "may be random, or it was trained on other crops (see `align`)",
        )
        return
    # What the file says stands until faces contradict it.
    likely = default if default in trial.best else trial.best[0]
    others = {way: _hardly_differ(likely, way) for way in trial.best if way != likely}
    certain = likely == default or all(others.values())
    yield "likely" if certain else "perhaps", _option(likely) + _as_default(likely, default)
    for way, alike in others.items():
        why = f"{trial.genuine} pairs do not tell it from that"
        yield "or", f"{_option(way)}: {why}{', and the two hardly differ' * alike}"
    if default and default not in trial.best:
        yield "caution", f"the file says {default}, which is worse on these faces"


def _as_default(way: Preprocessing, default: Preprocessing | None) -> str:
    return " (the default of this file)" if way == default else ""


def _hardly_differ(one: Preprocessing, other: Preprocessing) -> bool:
    """Return whether two ways give nearly the same from 0 to 255."""
    values = one.mean_and_std, other.mean_and_std
    if one.channel_order != other.channel_order or None in values:
        return False
    ends = [
        [(white - m) / s for white in (0, 255) for m, s in zip(*way, strict=True)]
        for way in filter(None, values)
    ]
    if len(ends[0]) != len(ends[1]):
        return False
    largest = max(abs(a - b) for a, b in zip(*ends, strict=True))
    return bool(largest <= _ALIKE * max(map(abs, ends[0])))


def _option(way: Preprocessing) -> str:
    order = " `channel_order` bgr" if way.channel_order == "bgr" else ""
    name = f" ({PUBLISHED[way]}'s)" if way in PUBLISHED else ""
    return f"`normalisation` {way.normalisation}{order}{name}"
