"""Probe runtimes, GPUs, data and checkpoints, without fetching or building anything."""

# Only the standard library is imported up here: a broken package must not stop the doctor.

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lfw_eval.doctor.diagnosis import (
    CalibrationFiles,
    CheckpointFiles,
    Cpu,
    Cuda,
    Diagnosis,
    Gpu,
    GpuAlignment,
    LfwFiles,
    Missing,
    OnnxRuntime,
    OpenVINO,
    OpenVINODevice,
    PreparedCrops,
    TensorRT,
)
from lfw_eval.system.errors import UserError, first_line
from lfw_eval.system.hardware import cpu_count, cpu_name, missing_gpu

if TYPE_CHECKING:
    from lfw_eval.engines.cuda.device import Device
    from lfw_eval.sources import Collection

_Finding = TypeVar("_Finding")
_HERE = "run lfw-eval doctor"
_REINSTALL = "reinstall lfw-eval"
_CALIBRATION = ("scales-*.json", "trt-*.cache")
_NO_DRIVER = Missing("no NVIDIA driver: install it if the machine has a GPU")


def diagnose() -> Diagnosis:
    """Probe everything; missing or broken parts are in the diagnosis and raise nothing."""
    return Diagnosis(
        tensorrt=_attempt(_tensorrt, "reinstall it"),
        cuda=_attempt(_cuda, "check nvidia-smi, and reinstall cuda-python"),
        gpu_alignment=_attempt(_gpu_alignment, "pip install --force-reinstall cuda-bindings"),
        onnxruntime=_attempt(_onnxruntime, "pip install --force-reinstall onnxruntime"),
        openvino=_attempt(_openvino, "pip install --force-reinstall openvino"),
        triton=_attempt(_triton, "pip install --force-reinstall 'lfw-eval[triton]'"),
        cpu=Cpu(cpu_name(), cpu_count()),
        checkpoint=_attempt(_checkpoint, _REINSTALL),
        lfw=_attempt(_lfw, _REINSTALL),
        celebrities=_attempt(_celebrities, _REINSTALL),
        prepared=_attempt(_prepared, _REINSTALL),
        calibrations=_attempt(_calibrations, _REINSTALL),
    )


def _attempt(probe: Callable[[], _Finding], fix: str) -> _Finding | Missing:
    """Return a probe's finding, or why it failed."""
    try:
        # A package built against another NumPy prints a traceback before it fails.
        with redirect_stderr(io.StringIO()):
            return probe()
    except UserError as error:
        return Missing(str(error).replace(_HERE, fix))
    except Exception as error:  # A broken package may raise anything.
        return Missing(f"cannot be used ({first_line(error)}): {fix}")


def _require(package: str, *others: str) -> None:
    # A folder of that name without the package has a spec too, but no origin.
    specs = map(find_spec, (package, *others))
    if not any(spec and spec.origin for spec in specs):
        raise UserError(f"not installed: pip install {package}")


def _or_no_gpu(require: Callable[..., _Finding], *arguments: str) -> _Finding:
    """Return what is required for a GPU; where there is none, advise to install nothing."""
    try:
        return require(*arguments)
    except UserError as error:
        if reason := missing_gpu():
            raise UserError(f"not usable: {reason}") from error
        raise


def _tensorrt() -> TensorRT:
    from lfw_eval.engines.tensorrt.library import PACKAGES, capabilities_of, load_tensorrt

    _or_no_gpu(_require, *PACKAGES)
    capabilities = capabilities_of(load_tensorrt())
    return TensorRT(capabilities.title, capabilities.int8_path())


def _cuda() -> Cuda:
    from lfw_eval.engines.cuda import device_class

    device_type = device_class()
    driver = device_type.driver()
    return Cuda(
        library=device_type.library,
        driver=_NO_DRIVER if driver == "0.0" else driver,
        gpus=tuple(_gpu(device_type, index) for index in range(device_type.count())),
    )


def _gpu(device_type: Callable[[int], "Device"], index: int) -> Gpu | Missing:
    from lfw_eval.engines.cuda.arithmetic import fast_arithmetic

    def probe() -> Gpu:
        device = device_type(index)
        with device.active():
            free, total = device.memory()
        fast = fast_arithmetic(device.capability)
        return Gpu(index, device.name, device.capability, free, total, fast)

    return _attempt(probe, "check with nvidia-smi what else uses it")


def _gpu_alignment() -> GpuAlignment:
    from lfw_eval.engines.cuda.program import compiler

    return GpuAlignment(_or_no_gpu(compiler))


def _onnxruntime() -> OnnxRuntime:
    _require("onnxruntime")
    import onnxruntime

    return OnnxRuntime(onnxruntime.__version__, tuple(onnxruntime.get_available_providers()))


def _openvino() -> OpenVINO:
    _require("openvino")
    import openvino

    core = openvino.Core()
    version = openvino.get_version().partition("-")[0]
    return OpenVINO(version, tuple(_device(core, name) for name in core.available_devices))


def _triton() -> str:
    if find_spec("tritonclient") is None:
        raise UserError("no client: pip install 'lfw-eval[triton]'")
    import tritonclient.grpc
    import tritonclient.http  # noqa: F401

    return version("tritonclient")


def _device(core: Any, device: str) -> OpenVINODevice | Missing:
    def probe() -> OpenVINODevice:
        capabilities = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        name = str(core.get_property(device, "FULL_DEVICE_NAME"))
        return OpenVINODevice(device, name, tuple(capabilities))

    return _attempt(probe, f"check the driver of {device}")


def _checkpoint() -> CheckpointFiles:
    from lfw_eval.checkpoints.checkpoint import DEFAULT, network_path, recipe_of
    from lfw_eval.sources import checkpoints

    collection = checkpoints()
    source = _fetched(DEFAULT, collection)
    entry = collection.entry(DEFAULT)
    digest = entry.sha256 or ""
    # Beside it may lie what other versions of lfw-eval and of ONNX converted.
    model = network_path(DEFAULT, digest, recipe_of(digest, entry.normalisation))
    return CheckpointFiles(DEFAULT, source, model if model.is_file() else None)


def _lfw() -> LfwFiles:
    from lfw_eval.datasets.lfw import local_lfw
    from lfw_eval.datasets.pair_files import local_pairs
    from lfw_eval.sources import datasets

    photographs = local_lfw()
    if photographs is None:
        root = datasets().root
        raise UserError(
            f"not present: put lfw.tgz and pairs.txt into {root}, or the first run fetches them"
        )
    return LfwFiles(photographs, local_pairs(photographs))


def _celebrities() -> Path:
    from lfw_eval.sources import datasets

    return _fetched("celebrities", datasets())


def _fetched(name: str, collection: "Collection") -> Path:
    """Return the file or folder of an entry, or the distribution that contains it."""
    entry = collection.entry(name)
    paths = [collection.root / entry.filename]
    if entry.package:
        paths.append(collection.distributions / entry.package.distribution)
    for path in paths:
        if path.exists():
            return path
    raise UserError(f"not present: the first run that needs it fetches it, or put it at {paths[0]}")


def _prepared() -> tuple[PreparedCrops | Missing, ...]:
    from lfw_eval.sources import datasets

    folder = datasets().root / "prepared"
    stores = sorted(path.parent for path in folder.glob("*/crops-*/store.json"))
    if not stores:
        raise UserError(f"no crops in {folder}: lfw-eval prepare aligns a data set")
    return tuple(_attempt(partial(_crops, store), f"delete {store}") for store in stores)


def _crops(store: Path) -> PreparedCrops:
    import numpy as np

    about = json.loads((store / "store.json").read_text(encoding="utf-8"))
    crops = np.load(store / "crops.npy", mmap_mode="r")
    return PreparedCrops(store, len(crops), about["alignment"], about.get("aligned_on"))


def _calibrations() -> tuple[CalibrationFiles | Missing, ...]:
    from lfw_eval.sources.roots import calibration_caches

    root = calibration_caches()
    folders = sorted({path.parent for name in _CALIBRATION for path in root.glob(f"*/{name}")})
    if not folders:
        raise UserError(f"none in {root}: lfw-eval calibrate writes a table and caches")
    return tuple(_attempt(partial(_calibration, folder), "calibrate again") for folder in folders)


def _calibration(folder: Path) -> CalibrationFiles:
    from calibration.cache import CalibrationCache
    from calibration.scales import ScaleTable

    tables, caches = (sorted(folder.glob(name)) for name in _CALIBRATION)
    versions = {CalibrationCache.load(path).version or path.name for path in caches}
    return CalibrationFiles(
        folder,
        methods=tuple(ScaleTable.load(path).method for path in tables),
        versions=tuple(sorted(versions, key=_numbers)),
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
