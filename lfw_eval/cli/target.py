"""The option --tgt: the target of a result."""

import sys

import typer

from lfw_eval.cli.exit_codes import FAILED


def require(target: float | None, reached: float, name: str) -> None:
    """Exit with 1 and a message if a value misses its target or is NaN.

    Args:
        target: None requires nothing.
        name: The name of the value in the message.
    """
    if target is not None and not reached >= target:
        print(f"{name} {reached:g} is below the target of {target:g}", file=sys.stderr)
        raise typer.Exit(FAILED)
