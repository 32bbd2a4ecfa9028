"""The GPU's memory, streams and graphs, through whichever of two libraries is installed."""

import os
from collections.abc import Callable
from importlib import import_module

from lfw_eval.engines.cuda.device import Device
from lfw_eval.system.errors import UserError

LIBRARIES = {
    "cuda-python": "lfw_eval.engines.cuda.cuda_python:CudaPythonDevice",
    "pycuda": "lfw_eval.engines.cuda.pycuda:PycudaDevice",
}
# Kernels are loaded when they first run, so CUDA starts faster and takes less memory. CUDA 11.7 to
# 12.1 need to be told; the processes that build inherit this.
os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")


def device_class(library: str | None = None) -> type[Device]:
    """Return the class of devices: that of the first library of `LIBRARIES` that can be imported.

    Args:
        library: A key of `LIBRARIES`, to insist on one.

    Raises:
        UserError: None is installed, or the NVIDIA driver is missing.
    """
    reasons = []
    for name in [library] if library else LIBRARIES:
        module, _, attribute = LIBRARIES[name].partition(":")
        try:
            backend: type[Device] = getattr(import_module(module), attribute)
        except (ImportError, OSError, RuntimeError) as error:
            # Without its libraries a package ends in any of these.
            reasons.append(f"{name}: {error}")
        else:
            return backend
    raise UserError(
        f"CUDA cannot be reached from Python ({'; '.join(reasons)})",
        "pip install cuda-bindings (or pycuda) beside TensorRT",
    )


def open_devices(indices: tuple[int, ...]) -> list[Device]:
    """Open GPUs by their numbers.

    Raises:
        UserError: There is no such GPU, or none at all.
    """
    backend = device_class()
    count = backend.count()
    if count == 0:
        raise UserError(
            "this machine has no NVIDIA GPU that the driver can use",
            "`engine` openvino runs on the CPU; lfw-eval doctor checks the installation",
        )
    for index in indices:
        if not 0 <= index < count:
            raise UserError(
                f"`gpu` {index} does not exist", f"this machine has GPUs 0 to {count - 1}"
            )
    make: Callable[[int], Device] = backend
    return [make(index) for index in indices]
