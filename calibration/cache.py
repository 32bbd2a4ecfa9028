"""The text of a TensorRT calibration cache."""

import re
import struct

from calibration.scales import ScaleTable
from lfw_eval.errors import UserError


def header_digits(version: str) -> int:
    """Return the digits of a cache's header for a TensorRT version such as "8.6.1".

    TensorRT counts major * 1000 + minor * 100 + patch up to 9, and major * 10000 from 10 on.

    Raises:
        UserError: It is no version of TensorRT 7 to 10, the ones that read such caches.
    """
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)(\.\d+)?", version)
    if match is None or not 7 <= int(match[1]) <= 10:
        raise UserError(
            f"TensorRT {version!r} reads no calibration cache; give a version from 7 to 10 as "
            "major.minor.patch, such as 8.6.1, or use the Q/DQ network"
        )
    major, minor, patch = (int(match[group]) for group in (1, 2, 3))
    return major * (10_000 if major >= 10 else 1_000) + minor * 100 + patch


def cache_text(table: ScaleTable, version: str) -> str:
    """Return the cache that TensorRT's `IInt8EntropyCalibrator2` of that version would read.

    A line is `name: hex`, the big-endian float32 of amax / 127.
    """
    lines = [f"TRT-{header_digits(version)}-EntropyCalibration2"]
    lines += [f"{name}: {_hexadecimal(amax / 127)}" for name, amax in table.amax.items()]
    return "\n".join(lines) + "\n"


def _hexadecimal(scale: float) -> str:
    return struct.pack(">f", scale).hex() if scale else "0"
