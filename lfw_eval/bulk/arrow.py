"""pyarrow, which reads and writes Parquet and comes with the extra `ray`."""

from types import ModuleType

from lfw_eval.system.errors import UserError


def require_pyarrow() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its module for Parquet.

    Raises:
        UserError: It is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            "embeddings and pairs in Parquet need pyarrow, which is not installed",
            "pip install 'lfw-eval[ray]'",
        ) from error
    return pyarrow, parquet
