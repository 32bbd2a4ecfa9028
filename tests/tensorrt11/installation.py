"""TensorRT 11's bindings over TensorRT-RTX's libraries, from the package index, kept in a cache."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import onnx

_BINDINGS = "tensorrt-cu13-bindings==11.4.0.106"
_LIBRARIES = "onnxruntime-ep-nv-tensorrt-rtx-cu13==0.5.0"
_PACKAGE = "tensorrt_bindings"
# What the wheel calls them, and under which names the shim opens them.
_SONAMES = {
    "libtensorrt_rtx.so.1.7.1": "libtensorrt_rtx.so.1",
    "libtensorrt_onnxparser_rtx.so.1.7.1": "libtensorrt_onnxparser_rtx.so.1",
}
_SHIM_NAMES = ("libnvinfer.so.11", "libnvonnxparser.so.11", "libnvinfer_plugin.so.11")
_HERE = Path(__file__).parent


class UnavailableError(Exception):
    """The machine lacks something that the builder needs; the message says what."""


@dataclass(frozen=True)
class Built:
    """What came of a build; a `plan_bytes` of None means that there is no engine."""

    parsed: bool
    errors: list[str]
    messages: list[str]
    layers: dict[str, int]
    types: list[str]
    plan_bytes: int | None
    seconds: float


@dataclass(frozen=True)
class Builder:
    """A folder with the bindings."""

    folder: Path

    def run(self, *arguments: str) -> str:
        """Run Python with the bindings at hand and return what it prints.

        The libraries crash where a file is broken enough: never load them into pytest's process.
        """
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def build(self, model: onnx.ModelProto) -> Built:
        """Parse and build a model."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(model, path)
            return Built(**json.loads(self.run(str(_HERE / "build.py"), str(path))))


def install() -> Builder:
    """Return the builder; fetch (150 MB) and set it up (250 MB) the first time.

    Raises:
        UnavailableError: It cannot be had on this machine.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise UnavailableError("TensorRT-RTX's libraries are for Linux on x86-64")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = f"{_BINDINGS.partition('==')[2]}-{sys.implementation.cache_tag}"
    folder = cache / "lfw-eval" / "tensorrt11" / version
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as temporary:
            new = Path(temporary) / "new"
            _unpack(_download(Path(temporary)), new / _PACKAGE)
            # A folder of that name is whole: two runs at once may both make it, and one wins.
            if not folder.is_dir():
                new.rename(folder)
    _compile_shim(folder / _PACKAGE)
    return Builder(folder)


def _download(folder: Path) -> list[Path]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--retries", "1", "--timeout", "20", "--only-binary", ":all:"]
    command += ["--dest", str(folder), _BINDINGS, _LIBRARIES]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip() or "pip failed").rpartition("\n")[2]
        raise UnavailableError(f"the package index does not give the wheels: {reason}")
    return list(folder.glob("*.whl"))


def _unpack(wheels: list[Path], package: Path) -> None:
    """Unpack the bindings, and beside them the two libraries that they need."""
    package.mkdir(parents=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                top, _, name = member.partition("/")
                if top == _PACKAGE:
                    archive.extract(member, package.parent)
                elif name in _SONAMES:
                    target = package / _SONAMES[name]
                    with archive.open(member) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)


def _compile_shim(package: Path) -> None:
    """Compile one library under the three names; every time, since its source may have changed."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise UnavailableError("there is no C compiler (cc or gcc)")
    with tempfile.TemporaryDirectory(dir=package, prefix="new-") as temporary:
        for name in _SHIM_NAMES:
            new = Path(temporary) / name
            options = ["-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", f"-Wl,-soname,{name}"]
            command = [compiler, *options, "-o", str(new), str(_HERE / "shim.c"), "-ldl"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise UnavailableError(f"{compiler} cannot compile: {done.stderr.strip()}")
            new.replace(package / name)
