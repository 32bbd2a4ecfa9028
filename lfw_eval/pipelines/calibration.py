"""Calibration of a checkpoint on crops: the histograms and the scale table."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from calibration import RECIPE
from calibration.histogram import Histogram, load_histograms, save_histograms
from calibration.sampler import CalibrationList
from calibration.scales import ScaleTable, thresholds
from calibration.thresholds import Method
from lfw_eval.checkpoints import normalisation
from lfw_eval.checkpoints.checkpoint import Checkpoint, image_shape
from lfw_eval.pipelines.counting import Counting, batches, count, count_on
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256
from lfw_eval.system.interrupts import deferred_interrupt
from lfw_eval.workers.ray import Cluster

# The calibrator's first batch, whose largest values set the bins; TensorRT's users feed 64.
_FIRST = 64
_HISTOGRAMS = "histograms.npz"


@dataclass(frozen=True)
class Calibration:
    """A scale table and the images that it comes from; `folder` holds its artefacts."""

    table: ScaleTable
    images: CalibrationList
    folder: Path

    def histograms(self) -> dict[str, Histogram]:
        """Return the histogram of every observed tensor."""
        return load_histograms(self.folder / _HISTOGRAMS)[0]


def calibrate(
    checkpoint: Checkpoint,
    crops: NDArray[np.uint8],
    images: CalibrationList,
    method: Method = "entropy",
    cluster: Cluster | None = None,
) -> Calibration:
    """Calibrate, or read the scale table of the same calibration made before.

    The histograms are kept: another method costs no second pass. After Ctrl-C the next start goes
    on from those made so far.

    Args:
        crops: uint8 (n, height, width, 3), FaceNet's 160x160, in the order of `images`.
        cluster: Whose workers count; the table is the same, bit for bit.

    Raises:
        UserError: There is no crop, the crops have another size, or the network makes NaN or
            infinity of one.
    """
    if len(crops) == 0:
        raise UserError("calibration needs at least one crop", "the calibration list is empty")
    built_from = {
        "model": file_sha256(checkpoint.model),
        "normalisation": checkpoint.normalisation,
        "images": images.digest(),
        "crops": hashlib.sha256(np.ascontiguousarray(crops).data).hexdigest(),
        "recipe": f"{RECIPE} {normalisation.RECIPE}",
        "onnxruntime": onnxruntime.__version__,
    }
    key = hashlib.sha256(json.dumps(built_from).encode()).hexdigest()[:16]
    folder = checkpoint.folder / f"calibration-{key}"
    path = folder / f"scales-{method}.json"
    if not path.is_file():
        # Crops of another shape were never calibrated on: no table can stand for them.
        model = onnx.load(checkpoint.model)
        wanted = image_shape(model)
        if crops.shape[1:] != wanted:
            raise UserError(
                f"calibration takes crops of {_product(wanted)}, not {_product(crops.shape[1:])}",
                "prepare them with lfw-eval prepare",
            )
        counting = Counting(model, checkpoint.normalisation)
        histograms = _observe(counting, crops, folder / _HISTOGRAMS, cluster)
        table = ScaleTable(
            amax=thresholds(model, histograms, method),
            method=method,
            model=built_from["model"],
            images=built_from["images"],
            crops=len(crops),
        )
        table.save(path)
    return Calibration(ScaleTable.load(path), images, folder)


def _product(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _observe(
    counting: Counting, crops: NDArray[np.uint8], saved: Path, cluster: Cluster | None
) -> dict[str, Histogram]:
    histograms, done = load_histograms(saved) if saved.is_file() else ({}, 0)
    if done == len(crops):
        return histograms
    observer = counting.observer()
    if not histograms:
        histograms = observer.empty_histograms(batches(crops[:_FIRST]))
    bar = tqdm(total=len(crops), initial=done, desc="calibrate", unit="img", disable=None)
    counted = (
        count_on(cluster, counting, histograms, crops[done:])
        if cluster
        else count(observer, histograms, crops[done:])
    )
    # A batch counted for some tensors and not for others would be counted twice after a restart.
    with bar, deferred_interrupt() as interrupted:
        for histograms, size in counted:
            done += size
            bar.update(size)
            if interrupted():
                save_histograms(saved, histograms, done)
                raise KeyboardInterrupt
    save_histograms(saved, histograms, done)
    return histograms
