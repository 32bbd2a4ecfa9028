"""A network refined for INT8 on an array of crops."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.histogram import FIRST_BATCH
from calibration.sampler import CalibrationList
from calibration.scales import ScaleTable
from calibration.thresholds import METHODS, Method
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.checkpoints.preprocessing import ChannelOrder
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.pipelines.embedder import require_crops
from lfw_eval.pipelines.refinement import EQUALISED
from lfw_eval.pipelines.refinement import refine as refine_calibrated
from lfw_eval.results.calibration import RefinementDescription
from lfw_eval.system.errors import UserError, require_type


@dataclass(frozen=True)
class RefinedNetwork:
    """A network refined for INT8, and what goes with it; `refine` returns one.

    Attributes:
        checkpoint: The refined network, an ONNX file that runs in INT8 with `scales` alone. In FP32
            it is not the network that it was made from: compare with that one.
        scales: Those of the refined network.
        equalised: An ONNX file that computes what the network did before, with channels alike:
            where training with quantisation in mind starts.
        about: The steps, and what each gained on crops that it was not fitted on.
    """

    checkpoint: Path
    scales: ScaleTable
    equalised: Path
    about: RefinementDescription


def calibrate_on_crops(
    checkpoint: str | Path,
    crops: NDArray[np.uint8],
    method: Method = "entropy",
    *,
    normalisation: str | None = None,
    channel_order: ChannelOrder | None = None,
    first_batch: int = FIRST_BATCH,
    refined: bool = False,
) -> Calibration:
    """Calibrate a network on an array of crops, and refine it if asked; see `lfw_eval.calibrate`.

    Raises:
        UserError: `crops` are none, of another type or shape, or give NaN or infinity, or the
            network cannot be refined.
    """
    if method not in METHODS:
        raise UserError(f"`method` {method!r} is unknown", f"choose one of {', '.join(METHODS)}")
    opened = open_checkpoint(str(checkpoint), normalisation, channel_order=channel_order)
    require_crops(crops, opened.input_shape())
    require_type("first_batch", first_batch, int, "a number of crops")
    images = CalibrationList(tuple(f"crops[{n}]" for n in range(len(crops))), "an array of crops")
    calibration = calibrate(opened, crops, images, method, first_batch=first_batch)
    return refine_calibrated(opened, calibration) if refined else calibration


def refine(
    checkpoint: str | Path,
    crops: NDArray[np.uint8],
    method: Method = "entropy",
    *,
    normalisation: str | None = None,
    channel_order: ChannelOrder | None = None,
) -> RefinedNetwork:
    """Refine a network for INT8: prepare it so that its embeddings stay nearer to those of FP32.

    It is calibrated first. It takes minutes, once: the same crops give the same files again.

    Args:
        checkpoint: As for `load_engine`.
        crops: uint8 `(n, height, width, 3)`, RGB; some 500, of people who are not evaluated. Every
            fourth is held out, to measure what a step gains.
        method: As for `calibrate`.
        normalisation: As for `load_engine`.
        channel_order: As for `load_engine`.

    Raises:
        UserError: As for `calibrate`, or the network is quantised or refined already, or there are
            fewer than eight crops.

    Example:
        >>> from lfw_eval import load_engine, open_dataset, refine
        >>> crops = open_dataset("celebrities").crop_store().crops
        >>> refined = refine("facenet-keras", crops[:16])
        >>> scales = refined.scales
        >>> with load_engine(refined.checkpoint, precision="int8", scales=scales) as network:
        ...     network.embed(crops[:8]).shape
        (8, 128)
    """
    calibration = calibrate_on_crops(
        checkpoint,
        crops,
        method,
        normalisation=normalisation,
        channel_order=channel_order,
        refined=True,
    )
    network, about = calibration.network, calibration.refinement
    assert network and about
    equalised = calibration.output_folder / EQUALISED
    return RefinedNetwork(network.model, calibration.table, equalised, about)
