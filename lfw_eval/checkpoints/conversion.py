"""A checkpoint of any format to the ONNX network that everything else is built from."""

from pathlib import Path

import onnx

from lfw_eval.checkpoints.equivalence import require_equal
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.formats import CHECKPOINTS, Format, format_of
from lfw_eval.checkpoints.own_normalisation import own_normalisation
from lfw_eval.checkpoints.preprocessing import WAYS, ChannelOrder, Preprocessing
from lfw_eval.checkpoints.quantized import quantization_of
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import files_sha256

RECIPE = 4
"""Version of the conversion: raise it when the same checkpoint would give another network, or other
facts about it, such as its normalisation."""

_NORMALISATION = "lfw_eval.normalisation"


def convert(
    path: Path,
    *,
    normalisation: str | None = None,
    channel_order: ChannelOrder | None = None,
    fold: bool = True,
    default_normalisation: str | None = None,
) -> onnx.ModelProto:
    """Convert a checkpoint of any of `FORMATS`, told apart by content.

    Args:
        path: The checkpoint.
        normalisation: The one the checkpoint was trained with, text of a `Preprocessing`; by
            default the one that the format implies, or "none" if its graph has its own.
        channel_order: In which it takes channels; by default as the file or its format says, or
            RGB.
        fold: Fold batch normalisation and constant factors into the weights; a network that is
            quantised already stays as it is.
        default_normalisation: For a file that implies none.

    Returns:
        Model from one float32 input (n, 3, 160, 160) to one float32 output (n, dimensions), with
        the normalisation in its metadata.

    Raises:
        UserError: The file is none of these, its normalisation is unknown, `normalisation` is
            another than that of its own graph, or an ONNX network and its original differ.
    """
    asked = Preprocessing.parse(normalisation) if normalisation else None
    model, implied = read_network(path)
    own = own_normalisation(model)
    if own and asked and asked.normalisation != "none":
        raise UserError(
            f"{path} normalises crops itself, by {own}, so `normalisation` {normalisation} would "
            "do it twice",
            "leave it out",
        )
    stated = Preprocessing.parse(text) if (text := implied or default_normalisation) else None
    ways = list(filter(None, (asked, stated)))
    if not (ways or own):
        raise UserError(
            f"{path} does not state how crops are normalised",
            f"give `normalisation`: {WAYS}; lfw-eval inspect tries the names",
        )
    if channel_order is None:
        channel_order = "bgr" if any(way.channel_order == "bgr" for way in ways) else "rgb"
    way = Preprocessing("none" if own else ways[0].normalisation, channel_order)
    return complete(path, model, way, fold=fold)


def read_network(path: Path) -> tuple[onnx.ModelProto, str | None]:
    """Read a checkpoint of any of `FORMATS`.

    Returns:
        The network, not folded, and the text of the `Preprocessing` that its format implies or its
        metadata states; None if there is none.

    Raises:
        UserError: The file is none of these.
    """
    model, implied = _require_format(path).read(path)
    return model, implied or normalisation_of(model)


def complete(
    path: Path, model: onnx.ModelProto, way: Preprocessing, *, fold: bool = True
) -> onnx.ModelProto:
    """Fold a network that was read, compare it with its original, and note its preprocessing.

    Raises:
        UserError: An ONNX network and its original differ.
    """
    form = _require_format(path)
    if fold and quantization_of(model, str(path)) is None:
        model = fold_affine(model)
    if form.original:
        require_equal(form.original(path), model, str(way), str(path))
    properties = {item.key: item.value for item in model.metadata_props}
    onnx.helper.set_model_props(model, {**properties, _NORMALISATION: str(way)})
    return model


def source_sha256(path: Path) -> str:
    """Return the sha256 of a checkpoint, of all its files where it has several.

    Raises:
        UserError: Some are missing, lie out of the checkpoint's folder, or are too large.
    """
    return files_sha256(_require_format(path).files(path))


def _require_format(path: Path) -> Format:
    if form := format_of(path):
        return form
    raise UserError(f"{path} is not a checkpoint", f"give a {CHECKPOINTS}")


def normalisation_of(model: onnx.ModelProto) -> str | None:
    """Return the normalisation in a model's metadata, or None if it states no supported one."""
    properties = {item.key: item.value for item in model.metadata_props}
    try:
        return str(Preprocessing.parse(properties.get(_NORMALISATION, "")))
    except UserError:
        return None
