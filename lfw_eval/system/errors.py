"""The error that a user's mistake raises, the same class for calibrator and evaluator."""

try:
    # An editable installation finds our modules within a foreign package; this name it does not.
    from calibration import RECIPE  # noqa: F401
    from calibration.errors import UserError, require_type
except ImportError as error:
    from importlib.util import find_spec

    # Found, not imported: it may be the very script that runs.
    spec = find_spec("calibration")
    if spec is None:
        raise
    where = spec.origin or next(iter(spec.submodule_search_locations or ()))
    raise ImportError(
        f"{where} hides the package calibration that comes with lfw-eval; run from another folder, "
        "or remove that one from PYTHONPATH",
        name="calibration",
    ) from error

__all__ = ["UserError", "first_line", "require_type", "unreadable"]


def unreadable(what: object, error: OSError) -> UserError:
    """Return the error for a file that cannot be read.

    Args:
        what: The path, or words that name it.
    """
    return UserError(
        f"{what} cannot be read: {error.strerror or error}", "check the path and its permissions"
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
