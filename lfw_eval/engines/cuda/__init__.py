"""The GPU's memory, streams and graphs, through whichever of two libraries is installed."""

import os
from collections.abc import Callable
from importlib import import_module

from lfw_eval.engines.cuda.device import Device
from lfw_eval.system.errors import UserError
from lfw_eval.system.hardware import NO_GPU, missing_gpu

LIBRARIES = {
    "cuda-python": "lfw_eval.engines.cuda.cuda_python:CudaPythonDevice",
    "pycuda": "lfw_eval.engines.cuda.pycuda:PycudaDevice",
}
_PACKAGES = {"cuda-python": "cuda-bindings", "pycuda": "pycuda"}
# Modules that are not found where their package is not installed, rather than broken.
_ABSENT = ("cuda", "cuda.bindings", "pycuda")
# Kernels are loaded when they first run, so CUDA starts faster and takes less memory. CUDA 11.7 to
# 12.1 need to be told; the processes that build inherit this.
os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")


def device_class(library: str | None = None) -> type[Device]:
    """Return the class of devices: that of the first library of `LIBRARIES` that can be imported.

    Args:
        library: A key of `LIBRARIES`, to insist on one.

    Raises:
        UserError: None is installed, or there is no NVIDIA GPU.
    """
    reasons, broken = [], []
    for name in [library] if library else LIBRARIES:
        module, _, attribute = LIBRARIES[name].partition(":")
        try:
            backend: type[Device] = getattr(import_module(module), attribute)
        except (ImportError, OSError, RuntimeError) as error:
            # Without its libraries a package ends in any of these.
            reasons.append(f"{name}: {error}")
            if getattr(error, "name", None) not in _ABSENT:
                broken.append(_PACKAGES[name])
        else:
            return backend
    if missing := missing_gpu():
        raise UserError(missing)
    raise UserError(
        f"CUDA cannot be reached from Python ({'; '.join(reasons)})",
        f"pip install --force-reinstall {broken[0]}"
        if broken
        else "pip install cuda-bindings (or pycuda)",
    )


def open_devices(indices: tuple[int, ...]) -> list[Device]:
    """Open GPUs by their numbers.

    Raises:
        UserError: There is no such GPU, or none at all.
    """
    make: Callable[[int], Device] = require_devices(indices)
    return [make(index) for index in indices]


def require_devices(indices: tuple[int, ...]) -> type[Device]:
    """Return the class of devices, having seen that there are GPUs of some numbers.

    Raises:
        UserError: There is no such GPU, or none at all.
    """
    backend = device_class()
    count = backend.count()
    if count == 0:
        raise UserError(missing_gpu() or NO_GPU)
    for index in indices:
        if not 0 <= index < count:
            raise UserError(
                f"`gpu` {index} does not exist", f"this machine has GPUs 0 to {count - 1}"
            )
    return backend
