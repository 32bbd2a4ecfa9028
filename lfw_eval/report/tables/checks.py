"""The table of metrics checked against other libraries."""

from collections.abc import Sequence

from lfw_eval.metrics.check import MetricCheck

_LABEL = 26


def checks_table(checks: Sequence[MetricCheck]) -> str:
    """Return a line of plain text per check."""
    return "\n".join(
        f"{f'{check.metric} by {check.library}':<{_LABEL}}largest difference {check.difference:.1e}"
        for check in checks
    )
