"""INT8 networks of ours, as `benchmarks/refine.py` compares them with those of peers."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from refine_peer import peak_memory

from calibration.quantize import QdqTypes, quantize
from calibration.sampler import CalibrationList
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.pipelines.refinement import refine

Crops = NDArray[np.uint8]
Settings = dict[str, Any]


def plain(checkpoint: Checkpoint, crops: Crops, images: CalibrationList, file: Path) -> Settings:
    """Write the network with the scales of entropy calibration."""
    calibration = calibrate(checkpoint, crops, images)
    _save(checkpoint, calibration, file)
    return {"method": calibration.table.method, "first_batch": calibration.table.first_batch}


def refined(checkpoint: Checkpoint, crops: Crops, images: CalibrationList, file: Path) -> Settings:
    """Write the network as `--refine` makes it of the same."""
    calibration = refine(checkpoint, calibrate(checkpoint, crops, images))
    _save(checkpoint, calibration, file)
    assert calibration.refinement
    return {"method": calibration.table.method, "refinement": asdict(calibration.refinement)}


def _save(checkpoint: Checkpoint, calibration: Calibration, file: Path) -> None:
    network = onnx.load(calibration.network_of(checkpoint).model)
    # As OpenVINO gets it.
    onnx.save(quantize(network, calibration.table, QdqTypes(unsigned=True)), file)


OURS: Mapping[str, Callable[[Checkpoint, Crops, CalibrationList, Path], Settings]] = {
    "plain": plain,
    "refined": refined,
}


def measured(
    method: str, checkpoint: Checkpoint, crops: Crops, images: CalibrationList, out: Path
) -> dict[str, Any]:
    """Quantise from nothing in this process, and return what `refine_peer.py` prints."""
    file = out / "quantized.onnx"
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        settings = OURS[method](replace(checkpoint, folder=Path(folder)), crops, images, file)
        seconds = time.perf_counter() - start
    return {
        "file": file.name,
        "seconds": round(seconds, 1),
        "peak MiB": round(peak_memory()),
        "settings": settings,
        "versions": {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__},
    }
