"""A user's mistake as the command line says it."""

import re

from lfw_eval.system.errors import UserError

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")
# Options that are not called as the parameter is.
_OPTIONS = {"batch_size": "--bs", "tf32": "--no-tf32"}


def sentence(error: UserError) -> str:
    """Return an error's text, parameters in backticks as options."""
    return _PARAMETER.sub(
        lambda match: _OPTIONS.get(match[1], f"--{match[1].replace('_', '-')}"), str(error)
    )
