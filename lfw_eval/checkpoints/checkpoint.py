"""A checkpoint, fetched and converted: the FP32 network that engines are built from."""

import json
from dataclasses import dataclass
from pathlib import Path

import onnx

from lfw_eval.checkpoints.facenet import RECIPE, convert, normalisation_of, source_sha256
from lfw_eval.results.engine import ModelDescription
from lfw_eval.sources import checkpoints, locate
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256, write_atomically

DEFAULT = "facenet-keras"


@dataclass(frozen=True)
class Checkpoint:
    """An FP32 network on disk.

    Attributes:
        name: Its name in the manifest, or the file's.
        folder: The folder of everything derived from it.
        model: The FP32 ONNX file, batch normalisation folded.
        normalisation: The normalisation of its input.
        source_sha256: Of the file that it was converted from, with any weights beside it.
    """

    name: str
    folder: Path
    model: Path
    normalisation: str
    source_sha256: str

    def input_shape(self) -> tuple[int, int, int]:
        """Return height, width and channels of the images that the network takes."""
        return image_shape(onnx.load(self.model))

    def describe(self) -> ModelDescription:
        """Return the description of the network for a result."""
        return ModelDescription(
            self.name, self.source_sha256, file_sha256(self.model), self.normalisation
        )


def open_checkpoint(checkpoint: str, normalisation: str | None = None) -> Checkpoint:
    """Fetch and convert a checkpoint, a file or an entry of the manifest.

    The ONNX file is in a folder named after the source's hash, so it is converted once.

    Raises:
        UserError: No such file or entry exists, or it cannot be converted.
    """
    collection = checkpoints()
    source, name, normalisation = find_source(checkpoint, normalisation)
    digest = source_sha256(source)
    built_from = f"{digest} {normalisation} recipe {RECIPE} onnx {onnx.__version__}"
    folder = collection.root / f"{name}-{digest[:8]}"
    model, record = folder / "fp32.onnx", folder / "fp32.json"
    about = _read(record) if model.is_file() else {}
    if about.get("built_from") != built_from:
        converted = convert(source, normalisation=normalisation)
        about = {"built_from": built_from, "normalisation": str(normalisation_of(converted))}
        save_model(converted, model)
        write_atomically(record, json.dumps(about, indent=1).encode())
    return Checkpoint(name, folder, model, about["normalisation"], digest)


def find_source(checkpoint: str, normalisation: str | None = None) -> tuple[Path, str, str | None]:
    """Return a checkpoint's file, its name, and its normalisation if known.

    Raises:
        UserError: It is neither a file nor an entry of the manifest, or cannot be fetched.
    """
    collection = checkpoints()
    if Path(checkpoint).is_file():
        return Path(checkpoint), Path(checkpoint).stem, normalisation
    entry = collection.entries.get(checkpoint)
    if entry and entry.normalisation:
        return locate(entry, collection), checkpoint, normalisation or entry.normalisation
    names = [key for key, entry in collection.entries.items() if entry.normalisation]
    raise UserError(
        f"`checkpoint` {checkpoint} is neither a file nor one of {', '.join(names)}",
        "give a .h5, .pt or .onnx file",
    )


def image_shape(model: onnx.ModelProto) -> tuple[int, int, int]:
    """Return height, width and channels of the images that a network (n, c, h, w) takes."""
    shape = model.graph.input[0].type.tensor_type.shape
    _, channels, height, width = (dimension.dim_value for dimension in shape.dim)
    return height, width, channels


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write an ONNX file completely or not at all."""
    write_atomically(path, model.SerializeToString())


def _read(record: Path) -> dict[str, str]:
    try:
        about: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about
