"""Tables of what INT8 costs, layer by layer."""

from collections.abc import Collection

from calibration.sensitivity import EmbeddingError, Mixed, Sensitivity
from lfw_eval.pipelines.layer_costs import MULTIPLY_ADDS, LayerCosts
from lfw_eval.system.printing import printable

_SHOWN = 20


def sensitivity_table(sensitivity: Sensitivity) -> str:
    """Return the error of the whole network and of its 20 worst layers, worst first."""
    shown = list(sensitivity.layers.items())[:_SHOWN]
    count = len(sensitivity.layers)
    label = f"all {count:,} layers"
    width = max(len(text) for text in [label, *map(_name, shown)]) + 2
    lines = [
        f"error of the embeddings against FP32, on {sensitivity.images:,} of the calibration crops",
        f"{'':<{width + 4}}{'1 - cosine':>12}{'SQNR, dB':>10}",
        f"    {label:<{width}}{_cells(sensitivity.network)}",
        "    single layers in INT8, each with the sum that it is fused into:",
    ]
    lines += [
        f"{place:>3} {_name(row):<{width}}{_cells(row[1])}" for place, row in enumerate(shown, 1)
    ]
    if rest := count - len(shown):
        lines.append(f"    and {rest:,} more")
    return "\n".join(lines)


def mixed_table(mixed: Mixed, layers: int, max_drop: float, costs: LayerCosts | None = None) -> str:
    """Return which layers stay in 16 bits, and the resulting error.

    Args:
        mixed: The mixed-precision network.
        layers: The number of quantisable layers.
        max_drop: The allowed drop of the mean cosine.
        costs: Of 16 bits by layer, where layers were left in them by these.
    """
    reached = (
        f"cosine {mixed.error.cosine:.6f} to FP32, 1 - cosine {mixed.error.drop:.2e} "
        f"(at most {max_drop:g} allowed), SQNR {mixed.error.sqnr:.1f} dB"
    )
    if not mixed.skipped:
        return f"no layer needs 16 bits: {reached}"
    lines = [f"{len(mixed.skipped):,} of {layers:,} layers stay in 16 bits: {reached}"]
    if costs:
        where = f"a batch on {costs.engine}"
        if costs.unit == MULTIPLY_ADDS:
            where = f"an image ({costs.engine} tells no times)"
        share = costs.of(mixed.skipped) / costs.total
        amount = _amount(costs, mixed.skipped)
        lines.append(f"at a cost of {amount} {where}, {share:.1%} of all layers in INT8:")
    for name in mixed.skipped:
        cost = f"  {_amount(costs, [name])}" if costs else ""
        lines.append(f"    {printable(name)}{cost}")
    return "\n".join(lines)


def _amount(costs: LayerCosts, layers: Collection[str]) -> str:
    digits = 0 if costs.unit == MULTIPLY_ADDS else 2
    return f"{costs.of(layers):,.{digits}f} {costs.unit}"


def _name(row: tuple[str, EmbeddingError]) -> str:
    return printable(row[0])


def _cells(error: EmbeddingError) -> str:
    return f"{error.drop:>12.2e}{error.sqnr:>10.1f}"
