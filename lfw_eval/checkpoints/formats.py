"""The formats of checkpoints: one row each, told apart by content, not by a file's suffix."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lfw_eval.checkpoints.tensorflow.bundle import bundle_files, is_bundle
from lfw_eval.checkpoints.tensorflow.graph import is_graph, is_saved_model, saved_model_files
from lfw_eval.system.errors import UserError

if TYPE_CHECKING:  # help texts list the formats, and do without a second for onnx
    import onnx

    Network = tuple[onnx.ModelProto, str | None]
    """A network, and the normalisation that its format implies."""

_START = 16  # bytes, for whoever recognises a format by its magic number
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TORCH = (b"PK\x03\x04", b"\x80\x02")
_MXNET = b"\x12\x01\0\0\0\0\0\0"  # before a list of arrays


def _itself(path: Path) -> dict[str, Path]:
    return {path.name: path}


@dataclass(frozen=True)
class Format:
    """A format of checkpoints.

    Attributes:
        name: As a user knows it, with its usual suffix.
        suffixes: Those of its files, in lower case; they only word messages.
        recognise: Whether a path is such a checkpoint, from its first bytes (none if it is not a
            file); neither is trusted by `read`.
        read: Converts it, or raises UserError if it is damaged or unsupported.
        files: Those that belong to the checkpoint, by their names in its sha256; first the one
            that leads to the others.
        original: Reads the network as its author wrote it, to run it beside the converted one;
            None for formats that ONNX Runtime cannot run.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[Path, bytes], bool]
    read: Callable[[Path], "Network"]
    files: Callable[[Path], dict[str, Path]] = _itself
    original: "Callable[[Path], onnx.ModelProto] | None" = None


def _read_keras(path: Path) -> "Network":
    from lfw_eval.checkpoints.keras_h5 import convert_keras

    return convert_keras(path), "per-image"


def _read_torch(path: Path) -> "Network":
    from lfw_eval.checkpoints.torch.archive import read_tensors
    from lfw_eval.checkpoints.torch.state_dict import convert_tensors

    return convert_tensors(path, read_tensors(path))


def _is_safetensors(path: Path, start: bytes) -> bool:
    # A length in 8 bytes, of which a header of JSON needs less than 5.
    return start[5:9] == b"\0\0\0{"


def _read_safetensors(path: Path) -> "Network":
    from lfw_eval.checkpoints.torch.safetensors_file import read_safetensors
    from lfw_eval.checkpoints.torch.state_dict import convert_tensors

    return convert_tensors(path, read_safetensors(path))


def _is_mxnet(path: Path, start: bytes) -> bool:
    return start.startswith(_MXNET) or start.lstrip()[:1] == b"{"


def _read_mxnet(path: Path) -> "Network":
    from lfw_eval.checkpoints.mxnet.convert import convert_mxnet
    from lfw_eval.checkpoints.user_onnx import adopt_onnx

    return adopt_onnx(path, convert_mxnet(path)), None


def _mxnet_files(path: Path) -> dict[str, Path]:
    from lfw_eval.checkpoints.mxnet.files import mxnet_files

    files = mxnet_files(path)
    return {file.name: file for file in (files.symbol, files.params)}


def _read_frozen_graph(path: Path) -> "Network":
    from lfw_eval.checkpoints.tensorflow.facenet import convert_frozen_graph

    return convert_frozen_graph(path)


def _read_saved_model(path: Path) -> "Network":
    from lfw_eval.checkpoints.tensorflow.facenet import convert_saved_model

    return convert_saved_model(path)


def _read_variables(path: Path) -> "Network":
    from lfw_eval.checkpoints.tensorflow.facenet import convert_variables

    return convert_variables(path)


def _read_onnx(path: Path) -> "Network":
    from lfw_eval.checkpoints.onnx_file import read_onnx
    from lfw_eval.checkpoints.user_onnx import adopt_onnx

    try:
        model = read_onnx(path)
    except UserError as error:
        if path.suffix.lower() == ".onnx":
            raise
        raise _unreadable(path, error) from error
    return adopt_onnx(path, model), None


def _original_onnx(path: Path) -> "onnx.ModelProto":
    from lfw_eval.checkpoints.canonical.exporter_mistakes import mend_mistakes
    from lfw_eval.checkpoints.onnx_file import read_onnx

    return mend_mistakes(read_onnx(path))


def _onnx_files(path: Path) -> dict[str, Path]:
    from lfw_eval.checkpoints.onnx_file import onnx_files

    return onnx_files(path)


# ONNX has no magic number: a file that nothing else recognises is taken for one.
FORMATS = (
    Format("Keras .h5", (".h5", ".hdf5"), lambda _, start: start.startswith(_HDF5), _read_keras),
    Format(
        "PyTorch .pt", (".pt", ".pth"), lambda _, start: start.startswith(_TORCH),
        _read_torch,
    ),
    Format(".safetensors", (".safetensors",), _is_safetensors, _read_safetensors),
    Format("TensorFlow .pb", (".pb",), lambda _, start: is_graph(start), _read_frozen_graph),
    Format(
        "SavedModel", (), lambda path, _: is_saved_model(path), _read_saved_model,
        saved_model_files,
    ),
    Format(
        "TensorFlow .ckpt", (".ckpt",), lambda path, _: is_bundle(path), _read_variables,
        bundle_files,
    ),
    Format("MXNet .params", (".params", ".json"), _is_mxnet, _read_mxnet, _mxnet_files),
    Format(
        ".onnx", (".onnx",), lambda path, _: path.is_file(), _read_onnx, _onnx_files,
        _original_onnx,
    ),
)  # fmt: skip

_names = [form.name for form in FORMATS]
CHECKPOINTS = f"{', '.join(_names[:-1])} or {_names[-1]}"
"""What a user may give, for help and messages."""


def format_of(path: Path) -> Format | None:
    """Return the format of a checkpoint, or None if nothing of the kind has that path."""
    start = b""
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(_START)
    return next((form for form in FORMATS if form.recognise(path, start)), None)


def _unreadable(path: Path, error: UserError) -> UserError:
    """Word that a file that no format recognised is not ONNX either."""
    claimed = next((form for form in FORMATS[:-1] if path.suffix.lower() in form.suffixes), None)
    if claimed:
        return UserError(
            f"{path} is not a readable checkpoint: its suffix says {claimed.name}, but its content "
            "is something else",
            "give another `checkpoint`",
        )
    return UserError(
        f"{path} is not a readable checkpoint ({CHECKPOINTS}): {error.problem}",
        error.hint or "give another `checkpoint`",
    )
