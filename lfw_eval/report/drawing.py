"""The drawing libraries, which are an extra."""

import importlib.util
import shlex

from lfw_eval.system.errors import UserError

_NEEDED = {"altair": "altair", "vl_convert": "vl-convert-python", "jinja2": "jinja2"}


def require_drawing() -> None:
    """Check that the drawing libraries are installed, before any work.

    Raises:
        UserError: One of them is not.
    """
    missing = [name for module, name in _NEEDED.items() if not importlib.util.find_spec(module)]
    if missing:
        install = shlex.join(["pip", "install", "lfw-eval[report]"])
        raise UserError(f"drawing needs {', '.join(missing)}", f"run {install}")
