"""The ranked layers of a comparison as CSV, for who trains with quantisation in mind."""

import csv
import io

from lfw_eval.results.layers import LayerComparison

_FIELDS = (
    "rank",
    "layer",
    "explains_loss",
    "input_tensor",
    "noise_entering",
    "sqnr_db",
    "step_db",
    "cosine",
    "minimum_cosine",
    "threshold",
    "largest",
    "channel_spread",
)


def layers_csv(result: LayerComparison) -> str:
    """Return a line for each quantised layer, the one whose input most noise enters at first.

    `noise_entering` is a ratio of powers; `threshold` is the magnitude that the largest int8 of the
    layer's input stands for, `largest` the largest one in FP32, and `channel_spread` that of the
    largest channel over that of the median channel. Cells are empty where there is no such value.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_FIELDS)
    for rank, (layer, tensor) in enumerate(result.ranked_layers.items(), 1):
        values: list[str | float | None] = []
        if tensor:
            values = [
                tensor.name,
                tensor.entered,
                tensor.sqnr,
                tensor.step,
                tensor.cosine,
                tensor.minimum,
                tensor.threshold,
                tensor.largest,
                tensor.spread,
            ]
        explains = "yes" if layer in result.explaining else "no"
        row = [rank, layer, explains if result.explanation else "", *map(_cell, values)]
        writer.writerow(row + [""] * (len(_FIELDS) - len(row)))
    return text.getvalue()


def _cell(value: str | float | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.6g}"
