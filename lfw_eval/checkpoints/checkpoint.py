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
        folder: Where everything made from it is kept.
        model: The FP32 ONNX file, batch normalisation folded.
        normalisation: What its input wants.
        source_sha256: Of the file that it was converted from, with those that belong to it.
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
        """Return what a result says of the network."""
        return ModelDescription(
            self.name, self.source_sha256, file_sha256(self.model), self.normalisation
        )


def open_checkpoint(given: str, normalisation: str | None = None) -> Checkpoint:
    """Fetch and convert what `checkpoint` names, a file or an entry of the manifest.

    The ONNX file lies in a folder named after the source's hash, so that it is converted once.

    Raises:
        UserError: There is no such file or entry, or it cannot be converted.
    """
    collection = checkpoints()
    source, name, normalisation = find_source(given, normalisation)
    digest = source_sha256(source)
    built_from = f"{digest} {normalisation} recipe {RECIPE} onnx {onnx.__version__}"
    folder = collection.root / f"{name}-{digest[:8]}"
    model, record = folder / "fp32.onnx", folder / "fp32.json"
    found = _read(record) if model.is_file() else {}
    if found.get("built_from") != built_from:
        converted = convert(source, normalisation=normalisation)
        found = {"built_from": built_from, "normalisation": str(normalisation_of(converted))}
        save_model(converted, model)
        write_atomically(record, json.dumps(found, indent=1).encode())
    return Checkpoint(name, folder, model, found["normalisation"], digest)


def find_source(given: str, normalisation: str | None = None) -> tuple[Path, str, str | None]:
    """Return the file of what `checkpoint` names, its name, and its normalisation if it is known.

    Raises:
        UserError: It is neither a file nor an entry of the manifest, or cannot be fetched.
    """
    collection = checkpoints()
    if Path(given).is_file():
        return Path(given), Path(given).stem, normalisation
    entry = collection.entries.get(given)
    if entry and entry.normalisation:
        return locate(entry, collection), given, normalisation or entry.normalisation
    names = [key for key, entry in collection.entries.items() if entry.normalisation]
    raise UserError(
        f"`checkpoint` {given} is neither a file nor one of {', '.join(names)}",
        "give a .h5, .pt or .onnx file",
    )


def image_shape(model: onnx.ModelProto) -> tuple[int, int, int]:
    """Return height, width and channels of the images that a network (n, c, h, w) takes."""
    shape = model.graph.input[0].type.tensor_type.shape
    _, channels, height, width = (dimension.dim_value for dimension in shape.dim)
    return height, width, channels


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write an ONNX file, whole or not at all."""
    write_atomically(path, model.SerializeToString())


def _read(record: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
