"""What the doctor found, as lines of plain text."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from lfw_eval.doctor.diagnosis import (
    CalibrationFiles,
    CheckpointFiles,
    Cuda,
    Diagnosis,
    Gpu,
    LfwFiles,
    Missing,
    OpenVINODevice,
    PreparedCrops,
)

_Found = TypeVar("_Found")
_Row = tuple[str, str]


def doctor_table(diagnosis: Diagnosis) -> str:
    """Return a line for each thing that is here, or that is missing and how to mend it."""
    return "\n".join(f"{label:<14}{words}" for label, words in _rows(diagnosis))


def _rows(found: Diagnosis) -> Iterator[_Row]:
    yield "TensorRT", _words(found.tensorrt, lambda it: f"{it.title}; INT8 from {it.int8_path}")
    yield "CUDA", _words(found.cuda, _driver)
    if not isinstance(found.cuda, Missing):
        yield from _gpus(found.cuda)
    yield (
        "ONNX Runtime",
        _words(found.onnxruntime, lambda it: f"{it.version}; {', '.join(it.providers)}"),
    )
    yield "OpenVINO", _words(found.openvino, lambda it: it.version)
    if not isinstance(found.openvino, Missing):
        for device in found.openvino.devices:
            yield "", _words(device, _openvino_device)
    yield "Triton", _words(found.triton, lambda version: f"client {version}")
    yield "CPU", f"{found.cpu.name}, {found.cpu.cores} cores for this process"
    yield "checkpoint", _words(found.checkpoint, _checkpoint)
    yield "LFW", _words(found.lfw, _lfw)
    yield "celebrities", _words(found.celebrities, str)
    yield from _several("crops", found.prepared, _crops)
    yield from _several("calibration", found.calibrations, _calibration)


def _words(found: _Found | Missing, describe: Callable[[_Found], str]) -> str:
    return found.reason if isinstance(found, Missing) else describe(found)


def _several(
    label: str,
    found: tuple[_Found | Missing, ...] | Missing,
    describe: Callable[[_Found], str],
) -> Iterator[_Row]:
    for one in (found,) if isinstance(found, Missing) else found:
        yield label, _words(one, describe)
        label = ""


def _driver(cuda: Cuda) -> str:
    driver = _words(cuda.driver, lambda version: f"driver for up to CUDA {version}")
    return f"{cuda.library}; {driver}"


def _gpus(cuda: Cuda) -> Iterator[_Row]:
    for index, gpu in enumerate(cuda.gpus):
        yield f"GPU {index}", _words(gpu, _gpu)
        if isinstance(gpu, Gpu):
            yield "", f"faster than in FP32: {', '.join(gpu.fast) or 'nothing'}"
    if not cuda.gpus:
        yield "GPU", f"none: {_no_gpu(cuda)}; OpenVINO needs none"


def _no_gpu(cuda: Cuda) -> str:
    if isinstance(cuda.driver, Missing):
        return "a driver is missing"
    return f"CUDA_VISIBLE_DEVICES may hide it, or the driver be too old for {cuda.library}"


def _gpu(gpu: Gpu) -> str:
    major, minor = gpu.capability
    return (
        f"{gpu.name}, compute capability {major}.{minor}, "
        f"{gpu.free / 2**30:.1f} of {gpu.total / 2**30:.1f} GiB free"
    )


def _openvino_device(device: OpenVINODevice) -> str:
    return f"{device.device}: {device.name}; {', '.join(device.capabilities)}"


def _checkpoint(files: CheckpointFiles) -> str:
    path = files.converted
    converted = f"converted to {path.parent.name}/{path.name}" if path else "not yet converted"
    return f"{files.name}: {files.source}, {converted}"


def _lfw(files: LfwFiles) -> str:
    pairs = "with pairs.txt" if files.pairs else "pairs.txt is not here: put it beside it"
    return f"{files.photographs}, {pairs}"


def _crops(store: PreparedCrops) -> str:
    return f"{store.folder}: {store.crops:,}, {store.alignment}"


def _calibration(files: CalibrationFiles) -> str:
    tables = f"scale table by {', '.join(files.methods)}" if files.methods else "no scale table"
    caches = f"caches of TensorRT {', '.join(files.versions)}" if files.versions else "no cache"
    return f"{files.folder}: {tables}; {caches}"
