"""The error that a user's mistake raises, one class for calibrator and evaluator."""

try:
    from calibration.errors import UserError
except ImportError as error:
    import calibration

    raise ImportError(
        f"the package 'calibration' of lfw-eval is hidden by another one, {calibration.__path__}; "
        "start from another folder, or take that one off PYTHONPATH"
    ) from error

__all__ = ["UserError"]
