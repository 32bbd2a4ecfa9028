"""NVIDIA's Triton server out of a wheel, from the package index, kept in a cache.

The wheel is that of nvidia-pytriton, which carries the server and its Python backend. It wants an
older NumPy than the project, so it lies in an environment of its own, with what its models need.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import pytest
from isolated_packages import environment

_SKIP = "no Triton server here"
_PYTRITON = "nvidia-pytriton==0.7.0"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Installation:
    """A virtual environment, the server among its packages."""

    folder: Path

    @property
    def binary(self) -> Path:
        """The server."""
        return self._server / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        """The folder of its backends: the Python one, and none for ONNX or TensorRT."""
        return self._server / "backends"

    @property
    def stub(self) -> Path:
        """The program that runs a model in this version of Python."""
        return self.backends / "python" / "triton_python_backend_stub"

    @property
    def environment(self) -> dict[str, str]:
        """What the server and its models run in."""
        libraries = (str(sysconfig.get_config_var("LIBDIR")), os.environ.get("LD_LIBRARY_PATH", ""))
        return {
            **os.environ,
            # Here its Python backend looks for the environment of its models.
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
        }

    @property
    def _server(self) -> Path:
        packages = self.folder / "lib" / f"python{_PYTHON}" / "site-packages"
        return packages / "pytriton" / "tritonserver"


def installation() -> Installation:
    """Return the server; fetch it the first time, or skip the test."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        _skip("the wheel is for Linux on x86-64")
    # The models run on the same ONNX Runtime as the project's own engine.
    runtime = f"onnxruntime=={version('onnxruntime')}"
    name = f"{_PYTRITON.partition('==')[2]}-{runtime}-{sys.implementation.cache_tag}"
    wheels = (["--no-deps", _PYTRITON], ["numpy<2", runtime])
    return Installation(environment(f"triton/{name}", *wheels, skip=_SKIP, finish=_add_stub))


def _add_stub(folder: Path) -> None:
    """Put the program of this version of Python to its backend."""
    new = Installation(folder)
    stub = new.binary.parents[1] / "python_backend_stubs" / _PYTHON / new.stub.name
    if not stub.is_file():
        _skip(f"the wheel has no Python backend for Python {_PYTHON}")
    shutil.copy(stub, new.stub)
    linked = subprocess.run(["ldd", new.stub], env=new.environment, capture_output=True, text=True)
    missing = [line.split()[0] for line in linked.stdout.splitlines() if "not found" in line]
    if missing:
        _skip(f"its Python backend needs {', '.join(missing)}, which is not here")


def _skip(reason: str) -> NoReturn:
    pytest.skip(f"{_SKIP}: {reason}")
