"""Small face networks of every kind that users bring."""

from pathlib import Path

import onnx
import zoo_files
import zoo_layers
import zoo_transformers
from zoo_kinds import ZOO

__all__ = ["ZOO", "write", "zoo_files", "zoo_layers", "zoo_transformers"]


def write(name: str, folder: Path) -> Path:
    """Write a network's file, and the file of its weights where they are outside."""
    path = folder / f"{name}.onnx"
    onnx.save(
        ZOO[name](), path, save_as_external_data=name == "external", location="external.weights",
        size_threshold=0,
    )  # fmt: skip
    return path
