"""The table of a diagnosis."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from lfw_eval.doctor.diagnosis import (
    CalibrationFiles,
    CheckpointFiles,
    Cuda,
    Diagnosis,
    Gpu,
    GpuAlignment,
    LfwFiles,
    Missing,
    OpenVINODevice,
    PreparedCrops,
)
from lfw_eval.report.undetected import alignment_note

_Finding = TypeVar("_Finding")
_Row = tuple[str, str]


def doctor_table(diagnosis: Diagnosis) -> str:
    """Return a line per finding; one for what is missing says how to fix it."""
    return "\n".join(f"{label:<14}{words}" for label, words in _rows(diagnosis))


def _rows(diagnosis: Diagnosis) -> Iterator[_Row]:
    yield "TensorRT", _words(diagnosis.tensorrt, lambda it: f"{it.title}; INT8 from {it.int8_path}")
    yield "CUDA", _words(diagnosis.cuda, _driver)
    if not isinstance(diagnosis.cuda, Missing):
        yield from _gpus(diagnosis.cuda)
    yield "GPU alignment", _words(diagnosis.gpu_alignment, _gpu_alignment)
    yield (
        "ONNX Runtime",
        _words(diagnosis.onnxruntime, lambda it: f"{it.version}; {', '.join(it.providers)}"),
    )
    yield "OpenVINO", _words(diagnosis.openvino, lambda it: it.version)
    if not isinstance(diagnosis.openvino, Missing):
        for device in diagnosis.openvino.devices:
            yield "", _words(device, _openvino_device)
    yield "Triton", _words(diagnosis.triton, lambda version: f"client {version}")
    cores = diagnosis.cpu.cores
    counted = f"{cores} core{'s' if cores != 1 else ''} for this process"
    yield "CPU", f"{diagnosis.cpu.name}, {counted}"
    yield "checkpoint", _words(diagnosis.checkpoint, _checkpoint)
    yield "LFW", _words(diagnosis.lfw, _lfw)
    yield "celebrities", _words(diagnosis.celebrities, str)
    yield from _several("crops", diagnosis.prepared, _crops)
    yield from _several("calibration", diagnosis.calibrations, _calibration)


def _words(finding: _Finding | Missing, describe: Callable[[_Finding], str]) -> str:
    return finding.reason if isinstance(finding, Missing) else describe(finding)


def _several(
    label: str,
    findings: tuple[_Finding | Missing, ...] | Missing,
    describe: Callable[[_Finding], str],
) -> Iterator[_Row]:
    for finding in (findings,) if isinstance(findings, Missing) else findings:
        yield label, _words(finding, describe)
        label = ""


def _driver(cuda: Cuda) -> str:
    driver = _words(cuda.driver, lambda version: f"driver supports up to CUDA {version}")
    return f"{cuda.library}; {driver}"


def _gpus(cuda: Cuda) -> Iterator[_Row]:
    for index, gpu in enumerate(cuda.gpus):
        yield f"GPU {index}", _words(gpu, _gpu)
        if isinstance(gpu, Gpu):
            yield "", f"faster than FP32: {', '.join(gpu.fast) or 'nothing'}"
    if not cuda.gpus:
        yield "GPU", f"none: {_no_gpu(cuda)}; OpenVINO works without one"


def _gpu_alignment(found: GpuAlignment) -> str:
    return f"kernels compiled by {found.compiler}"


def _no_gpu(cuda: Cuda) -> str:
    if isinstance(cuda.driver, Missing):
        return "the driver is missing"
    return f"CUDA_VISIBLE_DEVICES may hide it, or the driver is too old for {cuda.library}"


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
    if files.pairs is None:
        return f"{files.photographs}, pairs.txt is missing: put it beside them"
    return f"{files.photographs}, with {files.pairs.name}"


def _crops(store: PreparedCrops) -> str:
    how = alignment_note(store.alignment, store.aligned_on)
    return f"{store.folder}: {store.crops:,}, {how}"


def _calibration(files: CalibrationFiles) -> str:
    tables = f"scale table by {', '.join(files.methods)}" if files.methods else "no scale table"
    caches = f"caches of TensorRT {', '.join(files.versions)}" if files.versions else "no cache"
    return f"{files.folder}: {tables}; {caches}"
