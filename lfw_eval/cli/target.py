"""The option --tgt: what a result has to reach."""

import sys

import typer

from lfw_eval.cli.exit_codes import FAILED


def require(target: float | None, reached: float, name: str) -> None:
    """Leave with exit code 1, and a sentence, where a value is below its target, or is no number.

    Args:
        target: None asks for nothing.
        name: Of the value, as the sentence calls it.
    """
    if target is not None and not reached >= target:
        print(f"{name} {reached:g} is below the target of {target:g}", file=sys.stderr)
        raise typer.Exit(FAILED)
