"""Arrays of an .npz file that may be damaged."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MAX_BYTES = 1 << 32
"""Of all arrays: those of 15 million pairs have a tenth of it."""


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an .npz file by name; no pickle is ever read.

    Raises:
        ValueError: The file cannot be read, is damaged, or claims more than 4 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                raise ValueError(f"its arrays claim more than {_MAX_BYTES:,} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # zipfile, zlib, lzma and NumPy share no base class
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from error
