"""The option --check-metrics."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lfw_eval.cli.exit_codes import FAILED
from lfw_eval.metrics.check import ROUNDING, MetricCheck
from lfw_eval.report.tables.checks import checks_table

CheckMetrics = Annotated[
    bool,
    typer.Option(
        "--check-metrics",
        help="Recompute the metrics with scikit-learn and pycocotools, print the largest "
        "differences, and exit with 1 if one exceeds rounding.",
    ),
]


def require_agreement(checks: Sequence[MetricCheck]) -> None:
    """Print the checks; exit with 1, and a sentence, where one has failed."""
    print(checks_table(checks))
    failed = [f"{check.metric} ({check.library})" for check in checks if not check.agrees]
    if failed:
        print(
            f"metrics differ by more than rounding, {ROUNDING:g}: {', '.join(failed)}",
            file=sys.stderr,
        )
        raise typer.Exit(FAILED)
