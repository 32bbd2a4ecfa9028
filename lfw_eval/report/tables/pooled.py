"""The table of pairs evaluated without folds."""

from lfw_eval.metrics.verification.pooled_result import PooledResult
from lfw_eval.report.tables.side_by_side import UNRESOLVED

_LABEL = 24


def pooled_table(result: PooledResult) -> str:
    """Return the metrics as lines of plain text."""
    lines = [
        f"{result.genuine:,} genuine and {result.impostors:,} impostor pairs",
        "",
        _line("AUC", f"{result.auc.value:.6f}", _off(result.auc_error)),
        _line("EER", f"{result.eer.value:.6f}", _off(result.eer_error)),
    ]
    for rate in result.val:
        label = f"VAL at FAR {rate.far_target:g}"
        if rate.interval is None:
            lines.append(_line(label, UNRESOLVED, rate.unresolved))
            continue
        low, high = rate.interval
        said = f"95 % interval {low:.5f} to {high:.5f}, FAR reached {rate.far:.3g}"
        lines.append(_line(label, f"{rate.value:.6f}", said + _off(rate.error)))
    return "\n".join(lines)


def _line(label: str, value: str, said: str) -> str:
    return f"{label:<{_LABEL}}{value}  {said}".rstrip()


def _off(error: float) -> str:
    return f" (off by at most {error:.1e}: counted in bins)" if error else ""
