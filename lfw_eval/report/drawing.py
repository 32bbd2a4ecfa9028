"""The libraries that draw, which are an extra."""

import importlib.util
import shlex

from lfw_eval.system.errors import UserError

_NEEDED = {"altair": "altair", "vl_convert": "vl-convert-python", "jinja2": "jinja2"}


def require_drawing() -> None:
    """Refuse to draw without the libraries that do, before any work.

    Raises:
        UserError: One is not installed.
    """
    missing = [name for module, name in _NEEDED.items() if not importlib.util.find_spec(module)]
    if missing:
        install = shlex.join(["pip", "install", "lfw-eval[report]"])
        raise UserError(f"drawing takes {', '.join(missing)}", f"install what it needs: {install}")
