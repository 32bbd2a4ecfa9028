"""Archives of given files."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

COMPRESSION = {"tar": "", "tgz": "gz", "tar.gz": "gz", "tar.xz": "xz", "tar.bz2": "bz2"}
"""Of a tar, by the suffix of its name."""


def make_tar(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    suffix = next(suffix for suffix in COMPRESSION if path.name.endswith(f".{suffix}"))
    mode: Any = f"w:{COMPRESSION[suffix]}"
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make(kind: str, folder: Path, files: dict[str, bytes]) -> Path:
    return (make_zip if kind == "zip" else make_tar)(folder / f"archive.{kind}", files)
