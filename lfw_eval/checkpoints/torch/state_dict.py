"""PyTorch state dicts to ONNX: which network one is of follows from its names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from lfw_eval.checkpoints.inception_resnet_v1 import convert_state_dict
from lfw_eval.checkpoints.torch.arcface import convert_iresnet, convert_mobilefacenet
from lfw_eval.system.errors import UserError, first_line
from lfw_eval.system.printing import first_names, printable

Tensors = dict[str, NDArray[np.generic]]

# By a weight that no other has: what it is called, its converter, and how its crops are normalised.
_NETWORKS: dict[str, tuple[str, Callable[[Tensors], onnx.ModelProto], str]] = {
    "conv2d_1a.conv.weight": (
        "facenet-pytorch's InceptionResnetV1",
        convert_state_dict,
        "fixed",
    ),
    "layer1.0.prelu.weight": ("insightface's iresnet", convert_iresnet, "arcface"),
    "conv_sep.layers.0.weight": ("insightface's MobileFaceNet", convert_mobilefacenet, "arcface"),
}
_PARALLEL = "module."  # before all names, if saved from DistributedDataParallel


def convert_tensors(path: Path, tensors: Tensors) -> tuple[onnx.ModelProto, str]:
    """Convert the state dict of a network that is determined by its names and shapes.

    Args:
        path: Where it was read from.
        tensors: Weights by name.

    Returns:
        The network, and the normalisation that it was trained with.

    Raises:
        UserError: It is of another network, incomplete, or has weights of other shapes.
    """
    tensors = {name.removeprefix(_PARALLEL): values for name, values in tensors.items()}
    networks = [network for name, network in _NETWORKS.items() if name in tensors]
    if not networks:
        *others, last = (network for network, *_ in _NETWORKS.values())
        raise UserError(
            f"{path} is not of a network that is read from its state dict: {', '.join(others)} or "
            f"{last} (it has {first_names(list(tensors)) or 'no weights'})",
            "export the network with torch.onnx.export and give the .onnx file",
        )
    network, convert, normalisation = networks[0]
    hint = f"give {network} as it was trained, or export the network with torch.onnx.export"
    try:
        return convert(tensors), normalisation
    except KeyError as error:
        raise UserError(f"{path} has no weight {error}", hint) from error
    except (
        IndexError,
        TypeError,
        ValueError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        raise UserError(
            f"{path} has weights that do not fit {network}: {printable(first_line(error))}", hint
        ) from error
