"""The machine's CPU, its name, cores and threads, and whether there is an NVIDIA GPU."""

import ctypes
import os
import platform
from pathlib import Path

NO_GPU = "this machine has no NVIDIA GPU that the driver can use"


def cpu_name() -> str:
    """Return the CPU's model name as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cpu_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_threads() -> int | None:
    """Return `OMP_NUM_THREADS`, by which Ray and others share out cores; None where unset.

    OpenVINO and ONNX Runtime have threads of their own, which ignore it.
    """
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdecimal() and int(value) else None


def openvino_threads() -> dict[str, str | int]:
    """Return OpenVINO's properties for as many threads as `cpu_threads` says; none where unset.

    Pinning is off, since several processes would pin their threads to the same first cores.
    """
    threads = cpu_threads()
    return {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": "NO"} if threads else {}


def missing_gpu() -> str:
    """Return why the NVIDIA driver offers no GPU; an empty text if it offers some.

    It asks the driver itself, so that no package is needed.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "this machine has no NVIDIA driver"
    count = ctypes.c_int()
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return "" if not failed and count.value else NO_GPU
