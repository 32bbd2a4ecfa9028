"""A calibration in the formats of other engines: TensorRT's caches and Q/DQ networks."""

from collections.abc import Iterable
from pathlib import Path

import onnx

from calibration.cache import cache_name, calibration_cache
from calibration.quantize import QdqTypes, quantize
from calibration.scales import ScaleTable
from lfw_eval.checkpoints.checkpoint import Checkpoint, save_model
from lfw_eval.checkpoints.half import half
from lfw_eval.engines.scales import Scales
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.refinement import EQUALISED
from lfw_eval.sources.roots import calibration_caches
from lfw_eval.system.files import write_atomically
from lfw_eval.system.locks import locked


def export(checkpoint: Checkpoint, calibrated: Calibration, versions: Iterable[str]) -> list[Path]:
    """Write the scale table, caches and networks; return their paths.

    Of a refined network they are named so, and it and the equalised one are among them.

    Args:
        versions: Of TensorRT, such as "8.6.1".

    Raises:
        UserError: A version reads no calibration cache.
    """
    network = calibrated.network_of(checkpoint)
    folder = calibration_caches() / checkpoint.name
    # Table, caches and networks of one calibration, not of two that run at once.
    with locked(folder / ".lock", f"writing calibration files to {folder}"):
        table = folder / f"scales-{calibrated.table.method}.json"
        calibrated.table.save(table)
        caches = write_caches(calibrated.table, versions, folder)
        networks = write_networks(network.model, calibrated, calibrated.output_folder)
        if calibrated.refinement:
            networks += write_refined(network.model, calibrated.table, calibrated.output_folder)
    return [table, *caches, *networks]


def write_refined(model: Path, table: ScaleTable, folder: Path) -> list[Path]:
    """Write a refined network in the forms that another one's users make of it themselves.

    They are TensorRT 8.6's, whose weights are float32 on the INT8 grid, and that of OpenVINO and
    ONNX Runtime, in which activations that are never negative are uint8.

    Returns:
        Their paths, before them those of the equalised and the refined network.
    """
    forms = {
        f"int8-{table.method}-qdq-float-weights.onnx": QdqTypes(False, float_weights=True),
        f"int8-{table.method}-qdq-unsigned.onnx": QdqTypes(unsigned=True),
    }
    for name, types in forms.items():
        save_model(quantize(onnx.load(model), table, types), folder / name)
    return [folder / EQUALISED, model, *(folder / name for name in forms)]


def write_caches(table: ScaleTable, versions: Iterable[str], folder: Path) -> list[Path]:
    """Write a calibration cache for each TensorRT version, such as "8.6.1".

    Raises:
        UserError: A version reads no such cache; nothing is written then.
    """
    texts = {
        folder / cache_name(table.method, version): calibration_cache(table, version)
        for version in versions
    }
    for path, text in texts.items():
        write_atomically(path, text.encode())
    return list(texts)


def write_networks(model: Path, scales: Scales, folder: Path) -> list[Path]:
    """Write the network with Q/DQ nodes, the rest in float32 and in float16.

    TensorRT 11 and TensorRT-RTX take all types from the network; activations are signed, as they
    require.
    """
    table = scales.table
    types = QdqTypes(unsigned=False)
    network = quantize(onnx.load(model), table, types, scales.float_layers)
    written = {
        f"int8-{table.method}-qdq.onnx": network,
        f"int8-{table.method}-qdq-fp16.onnx": half(network),
    }
    for name, qdq in written.items():
        save_model(qdq, folder / name)
    return [folder / name for name in written]
