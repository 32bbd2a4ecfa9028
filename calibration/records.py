"""JSON records of cached files, which hold a hash of themselves and are checked when read."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibration.files import write_atomically

_OWN = "record_sha256"


class DamagedError(Exception):
    """Something cached cannot be used; the message says why, and follows its name."""


def write_record(path: Path, content: Mapping[str, object]) -> None:
    """Write a record.

    Raises:
        UserError: The file cannot be written.
    """
    text = json.dumps({**content, _OWN: _digest(content)}, indent=1) + "\n"
    write_atomically(path, text.encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what `write_record` wrote; None where there is no file.

    Raises:
        DamagedError: The file cannot be read, or is not what was written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DamagedError(f"is damaged ({path.name} cannot be read)") from error
    if not isinstance(content, dict):
        raise DamagedError(f"is damaged ({path.name} is not a record)")
    digest = content.pop(_OWN, None)
    if digest is None:
        raise DamagedError(f"is of an earlier version ({path.name} has no hash)")
    if digest != _digest(content):
        raise DamagedError(f"is damaged ({path.name} is not what was written)")
    return content


def say_remade(path: Path, error: DamagedError) -> None:
    """Say on standard error that something cached is not used, why, and that it is made again."""
    print(f"{path} {error}; making it again", file=sys.stderr)


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
