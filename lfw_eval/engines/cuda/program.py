"""Kernels in CUDA C++, compiled for the GPU that runs them by NVRTC and stored on disk."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lfw_eval.engines.cuda.device import Device, Module
from lfw_eval.system.errors import UserError, first_line
from lfw_eval.system.files import write_atomically
from lfw_eval.system.locks import locked

_HEADERS = Path(__file__).parent
# Products and sums are rounded one by one, as NumPy's: boxes are to be the CPU's bit for bit.
# Where a kernel wants them in one, it says fmaf.
_OPTIONS = ("--std=c++17", "--fmad=false")


def load_program(device: Device, sources: tuple[Path, ...], folder: Path) -> Module:
    """Return the kernels of some files, compiled together unless they were before.

    Args:
        device: The GPU, which has to be active.
        sources: Files of CUDA C++ (`*.cu`); they can include one another's folders' headers and
            those beside this module.
        folder: Where compiled programs are stored.

    Raises:
        UserError: NVRTC is not installed or too old for the GPU, or the folder cannot be written.
    """
    return device.load(cubin(sources, device.capability, folder))


def cubin(sources: tuple[Path, ...], capability: tuple[int, int], folder: Path) -> bytes:
    """Return the machine code of some files for GPUs of one compute capability.

    Raises:
        UserError: As for `load_program`.
    """
    nvrtc = _nvrtc()
    version = _check(nvrtc, nvrtc.nvrtcVersion())
    options = (*_OPTIONS, f"--gpu-architecture=sm_{capability[0]}{capability[1]}")
    files = {source.name: source.read_bytes() for source in sources}
    for place in {_HEADERS, *(source.parent for source in sources)}:
        files |= {header.name: header.read_bytes() for header in place.glob("*.cuh")}
    main = "".join(f'#include "{source.name}"\n' for source in sources)
    built_from = repr((version, options, main, sorted(files.items())))
    key = hashlib.sha256(built_from.encode()).hexdigest()
    path = folder / f"{key[:16]}.cubin"
    if code := _stored(path):
        return code
    with locked(path.with_suffix(".lock"), "compiling these kernels"):
        if code := _stored(path):
            return code
        code = _compile(nvrtc, main, files, options)
        write_atomically(path, hashlib.sha256(code).digest() + code)
    return code


def compiler() -> str:
    """Return name and version of what compiles kernels, such as "NVRTC 12.9".

    Raises:
        UserError: It is not installed.
    """
    nvrtc = _nvrtc()
    major, minor = _check(nvrtc, nvrtc.nvrtcVersion())
    return f"NVRTC {major}.{minor}"


def _stored(path: Path) -> bytes | None:
    """Return what was compiled before, unless its file is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:32], content[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def _compile(nvrtc: Any, main: str, files: Mapping[str, bytes], options: tuple[str, ...]) -> bytes:
    program = _check(
        nvrtc,
        nvrtc.nvrtcCreateProgram(
            main.encode(),
            b"kernels.cu",
            len(files),
            list(files.values()),
            [name.encode() for name in files],
        ),
    )
    try:
        arguments = [option.encode() for option in options]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(arguments), arguments)
        if status:
            log = b" " * _check(nvrtc, nvrtc.nvrtcGetProgramLogSize(program))
            _check(nvrtc, nvrtc.nvrtcGetProgramLog(program, log))
            raise UserError(
                f"NVRTC cannot compile for this GPU with {' '.join(options)}: "
                f"{log.rstrip(bytes(1)).decode().strip()}",
                "upgrade NVRTC (pip install --upgrade nvidia-cuda-nvrtc-cu12)",
            )
        code: bytes = b" " * _check(nvrtc, nvrtc.nvrtcGetCUBINSize(program))
        _check(nvrtc, nvrtc.nvrtcGetCUBIN(program, code))
        return code
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _nvrtc() -> Any:
    """Return NVIDIA's run-time compiler."""
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()
    except (ImportError, OSError, RuntimeError) as error:
        reason = f"NVRTC, which compiles kernels, is missing ({first_line(error)})"
        absent = getattr(error, "name", None) in ("cuda", "cuda.bindings")
        packages = "cuda-bindings nvidia-cuda-nvrtc-cu12" if absent else "nvidia-cuda-nvrtc-cu12"
        raise UserError(reason, f"pip install {packages}") from error
    return nvrtc


def _check(nvrtc: Any, result: tuple[Any, ...]) -> Any:
    """Return what a call returned besides its status."""
    status, *values = result
    if status:
        _, text = nvrtc.nvrtcGetErrorString(status)
        raise UserError(f"NVRTC failed: {text.decode()}", "run lfw-eval doctor")
    return values[0] if len(values) == 1 else tuple(values)
