"""A checkpoint, fetched and converted: the network that engines are built from."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import onnx

from lfw_eval.checkpoints.conversion import RECIPE, convert, normalisation_of, source_sha256
from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.checkpoints.formats import CHECKPOINTS, format_of
from lfw_eval.checkpoints.own_normalisation import OwnNormalisation, own_normalisation
from lfw_eval.checkpoints.preprocessing import ChannelOrder
from lfw_eval.checkpoints.quantized import Quantization, quantization_of
from lfw_eval.results.codec import plain, typed
from lfw_eval.results.engine import ModelDescription
from lfw_eval.sources import checkpoints, locate
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256, write_atomically
from lfw_eval.system.locks import locked
from lfw_eval.system.records import DamagedError, read_record, say_remade, write_record

DEFAULT = "facenet-keras"
NETWORKS = "fp32-*.onnx"
"""The files of networks in the folder of a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A network on disk, in FP32 or quantised already.

    Attributes:
        name: Its name in the manifest, or the file's.
        folder: The folder of everything derived from it.
        model: The ONNX file; in FP32, batch normalisation is folded.
        normalisation: That of its input, and the order of channels: text of a `Preprocessing`.
        source_sha256: Of the file that it was converted from, with any weights beside it.
        quantization: How the checkpoint itself is quantised; None for one in floating point.
        own_normalisation: What its graph does to its input first; None if that is no normalisation.
        image_shape: Height, width and channels of the images that it takes; None reads the file.
    """

    name: str
    folder: Path
    model: Path
    normalisation: str
    source_sha256: str
    quantization: Quantization | None = None
    own_normalisation: OwnNormalisation | None = None
    image_shape: tuple[int, int, int] | None = field(default=None, compare=False, repr=False)

    @property
    def precision(self) -> Literal["fp32", "int8"]:
        """The precision that it has by itself: what others are compared with."""
        return "int8" if self.quantization else "fp32"

    def require_float(self, purpose: str) -> None:
        """Refuse a network that is quantised already.

        Args:
            purpose: What cannot be done with it, such as "calibrated".

        Raises:
            UserError: It is.
        """
        if self.quantization:
            raise UserError(
                f"{self.name} is already quantised ({self.quantization}), so it cannot be "
                f"{purpose}",
                "give the FP32 network that it was made from",
            )

    def input_shape(self) -> tuple[int, int, int]:
        """Return height, width and channels of the images that the network takes."""
        return self.image_shape or image_shape(onnx.load(self.model))

    def crop_size(self) -> CropSize:
        """Return the size of the crops that the network takes."""
        height, width, _ = self.input_shape()
        return CropSize(height, width)

    def describe(self) -> ModelDescription:
        """Return the description of the network for a result."""
        return ModelDescription(
            name=self.name,
            source_sha256=self.source_sha256,
            onnx_sha256=file_sha256(self.model),
            normalisation=self.normalisation,
            quantization=self.quantization,
            own_normalisation=str(self.own_normalisation) if self.own_normalisation else None,
        )


def open_checkpoint(
    checkpoint: str,
    normalisation: str | None = None,
    default_normalisation: str | None = None,
    parameter: str = "checkpoint",
    *,
    channel_order: ChannelOrder | None = None,
) -> Checkpoint:
    """Fetch and convert a checkpoint, a file or an entry of the manifest.

    It is converted once; see `converted`.

    Args:
        checkpoint: The file, or the entry's name.
        normalisation: That of the training images; None takes what the checkpoint says.
        default_normalisation: For a checkpoint that says nothing.
        parameter: What the user named the checkpoint by.
        channel_order: In which the network takes channels; None takes what the checkpoint says.

    Raises:
        UserError: No such file or entry exists, or it cannot be converted.
    """
    source, name, normalisation = find_source(checkpoint, normalisation, parameter)
    digest = source_sha256(source)
    built_from = recipe_of(digest, normalisation, default_normalisation, channel_order)

    def convert_source() -> onnx.ModelProto:
        return convert(
            source,
            normalisation=normalisation,
            channel_order=channel_order,
            default_normalisation=default_normalisation,
        )

    model = converted(name, digest, built_from, convert_source)
    facts = _facts(model, source)
    return Checkpoint(
        name=name,
        folder=model.parent,
        model=model,
        normalisation=facts.normalisation,
        source_sha256=digest,
        quantization=facts.quantization,
        own_normalisation=facts.own_normalisation,
        image_shape=facts.image_shape,
    )


@dataclass(frozen=True)
class _Facts:
    """What a converted network says, as `Checkpoint` has it."""

    normalisation: str
    quantization: Quantization | None
    own_normalisation: OwnNormalisation | None
    image_shape: tuple[int, int, int]


def _facts(model: Path, source: Path) -> _Facts:
    """Return what a converted network says; it is written into its record, and read once.

    Raises:
        UserError: It is quantised in a way that is not supported.
    """
    path = model.with_suffix(".json")
    record = read_record(path) or {}
    with suppress(ValueError):
        found: _Facts = typed(_Facts, record.get("facts"), "facts", {})
        return found
    network = onnx.load(model, load_external_data=False)
    facts = _Facts(
        normalisation=str(normalisation_of(network)),
        quantization=quantization_of(network, str(source)),
        own_normalisation=own_normalisation(network),
        image_shape=image_shape(network),
    )
    # Without room or permission it is read again next time.
    with suppress(UserError):
        write_record(path, {**record, "facts": plain(facts)})
    return facts


def recipe_of(
    digest: str,
    normalisation: str | None,
    default_normalisation: str | None = None,
    channel_order: ChannelOrder | None = None,
) -> str:
    """Return what a network depends on that is made of a file with that sha256."""
    ways = " or ".join(filter(None, (normalisation, default_normalisation))) or None
    ways = f"{ways} in {channel_order}" if channel_order else ways
    return f"{digest} {ways} recipe {RECIPE} onnx {onnx.__version__}"


def network_path(name: str, digest: str, built_from: str) -> Path:
    """Return where the network of a checkpoint lies once it is converted."""
    key = hashlib.sha256(built_from.encode()).hexdigest()[:8]
    return checkpoints().root / f"{name}-{digest[:8]}" / f"fp32-{key}.onnx"


def converted(
    name: str, digest: str, built_from: str, convert: Callable[[], onnx.ModelProto]
) -> Path:
    """Return the ONNX file of what was converted before, or else convert it while others wait.

    The file is named after `built_from`: no other run can put another network in its place.

    Args:
        name: Of the checkpoint.
        digest: The sha256 of its file.
        built_from: What the network depends on.
        convert: Returns the network.
    """
    model = network_path(name, digest, built_from)
    with suppress(DamagedError):
        if _is_converted(model):
            return model
    with locked(model.with_name(".lock"), "converting this checkpoint"):
        try:
            if _is_converted(model):
                return model
        except DamagedError as error:
            say_remade(model, error)
        save_model(convert(), model)
        record = {"built_from": built_from, "sha256": file_sha256(model)}
        write_record(model.with_suffix(".json"), record)
        return model


def _is_converted(model: Path) -> bool:
    """Return whether a network was converted.

    Raises:
        DamagedError: The network or its record is not what was written.
    """
    record = read_record(model.with_suffix(".json"))
    if record is None:
        return False
    try:
        if file_sha256(model) != record["sha256"]:
            raise DamagedError("is damaged (it is not what was written)")
    except OSError as error:
        raise DamagedError(f"is damaged ({error.strerror})") from error
    return True


def find_source(
    checkpoint: str, normalisation: str | None = None, parameter: str = "checkpoint"
) -> tuple[Path, str, str | None]:
    """Return a checkpoint's file, its name, and its normalisation if known.

    Args:
        checkpoint: The file, or the entry's name.
        normalisation: That of the training images; None takes what the manifest says.
        parameter: What the user named the checkpoint by.

    Raises:
        UserError: It is neither a file nor an entry of the manifest, or cannot be fetched.
    """
    collection = checkpoints()
    if format_of(path := Path(checkpoint)):
        named = path.resolve() if path.is_dir() else path  # which may be "."
        return path, named.stem, normalisation
    entry = collection.entries.get(checkpoint)
    if entry and entry.normalisation:
        return locate(entry, collection), checkpoint, normalisation or entry.normalisation
    names = [key for key, entry in collection.entries.items() if entry.normalisation]
    raise UserError(
        f"`{parameter}` {checkpoint} is neither a file nor one of {', '.join(names)}",
        f"give a {CHECKPOINTS} file",
    )


def image_shape(model: onnx.ModelProto) -> tuple[int, int, int]:
    """Return height, width and channels of the images that a network (n, c, h, w) takes."""
    shape = model.graph.input[0].type.tensor_type.shape
    _, channels, height, width = (dimension.dim_value for dimension in shape.dim)
    return height, width, channels


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write an ONNX file completely or not at all."""
    write_atomically(path, model.SerializeToString())
