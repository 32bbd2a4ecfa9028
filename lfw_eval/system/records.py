"""Records of cached files, and what is said of those that are made again."""

import sys
from pathlib import Path

from calibration.records import DamagedError, read_record, write_record

__all__ = ["DamagedError", "read_record", "say_remade", "write_record"]


def say_remade(path: Path, error: DamagedError) -> None:
    """Say on standard error that something cached is not used, why, and that it is made again."""
    print(f"{path} {error}; making it again", file=sys.stderr)
