"""The error that a user's mistake raises, the same class for calibrator and evaluator."""

try:
    from calibration.errors import UserError
except ImportError as error:
    import calibration

    raise ImportError(
        f"the package 'calibration' of lfw-eval is hidden by another one, {calibration.__path__}; "
        "start from another folder, or take that one off PYTHONPATH"
    ) from error

__all__ = ["UserError", "first_line"]


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
