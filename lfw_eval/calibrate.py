"""Calibration of a checkpoint on crops: scale table, TensorRT caches and Q/DQ network."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

import calibration
from calibration.activations import Observer
from calibration.cache import cache_text, header_digits
from calibration.histogram import Histogram, load_histograms, save_histograms
from calibration.quantize import Activations, quantize
from calibration.sampler import CalibrationList
from calibration.scales import ScaleTable, entropy_scales
from lfw_eval.checkpoints.checkpoint import Checkpoint, save_model
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.errors import UserError
from lfw_eval.files import file_sha256, python_digest, write_atomically
from lfw_eval.interrupts import deferred_interrupt

_BATCH = 8


@dataclass(frozen=True)
class Calibration:
    """A scale table and the images that it comes from; `folder` holds its artefacts."""

    table: ScaleTable
    images: CalibrationList
    folder: Path


def calibrate(
    checkpoint: Checkpoint, crops: NDArray[np.uint8], images: CalibrationList
) -> Calibration:
    """Calibrate, or read the scale table of the same calibration made before.

    After Ctrl-C the histograms so far are kept, and the next start goes on from them.

    Args:
        crops: uint8 (n, 160, 160, 3), in the order of `images`.

    Raises:
        UserError: There is no crop, or the network makes NaN or infinity of one.
    """
    if len(crops) == 0:
        raise UserError("calibration needs at least one crop; the calibration list is empty")
    built_from = {
        "model": file_sha256(checkpoint.model),
        "normalisation": checkpoint.normalisation,
        "images": images.digest(),
        "crops": hashlib.sha256(crops.tobytes()).hexdigest(),
        "code": python_digest(Path(calibration.__file__).parent),
    }
    key = hashlib.sha256(json.dumps(built_from).encode()).hexdigest()[:16]
    folder = checkpoint.folder / f"calibration-{key}"
    path = folder / "scales.json"
    if not path.is_file():
        model = onnx.load(checkpoint.model)
        histograms = _observe(model, checkpoint.normalisation, crops, folder / "histograms.npz")
        table = ScaleTable(
            amax=entropy_scales(histograms),
            method="entropy",
            model=built_from["model"],
            images=built_from["images"],
            crops=len(crops),
        )
        table.save(path)
        (folder / "histograms.npz").unlink(missing_ok=True)
    return Calibration(ScaleTable.load(path), images, folder)


def export(checkpoint: Checkpoint, calibrated: Calibration, versions: list[str]) -> list[Path]:
    """Write what other engines read: a cache per TensorRT version, and the Q/DQ network.

    Args:
        versions: TensorRT versions such as "8.6.1".

    Returns:
        The files, in the calibration's folder.
    """
    written = []
    for version in versions:
        path = calibrated.folder / f"trt-{header_digits(version)}-entropy2.cache"
        write_atomically(path, cache_text(calibrated.table, version).encode())
        written.append(path)
    # TensorRT takes signed activations only.
    network = quantize(onnx.load(checkpoint.model), calibrated.table, Activations(unsigned=False))
    written.append(calibrated.folder / "int8-qdq.onnx")
    save_model(network, written[-1])
    return written


def _observe(
    model: onnx.ModelProto, normalisation: str, crops: NDArray[np.uint8], saved: Path
) -> dict[str, Histogram]:
    tensors = [info.name for info in model.graph.input]
    tensors += [name for node in model.graph.node for name in node.output]
    histograms, done = load_histograms(saved) if saved.is_file() else (None, 0)
    observer = Observer(accept_crops(model, normalisation), tensors, histograms)
    bar = tqdm(total=len(crops), initial=done, desc="calibrate", unit="img", disable=None)
    # A batch counted for some tensors and not for others would be counted twice after a restart.
    with bar, deferred_interrupt() as interrupted:
        for start in range(done, len(crops), _BATCH):
            batch = crops[start : start + _BATCH]
            observer.observe({CROPS: batch})
            bar.update(len(batch))
            if interrupted():
                save_histograms(saved, observer.histograms, start + len(batch))
                raise KeyboardInterrupt
    return observer.histograms
