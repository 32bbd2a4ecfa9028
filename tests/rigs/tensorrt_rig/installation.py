"""TensorRT's Python bindings out of wheels, from the package index, kept in a cache.

They are for a process of its own, and nothing is installed: the libraries that they are bound to
are too large for a test, so one small library of ours stands in for those.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from lfw_eval.engines.tensorrt.capabilities import Capabilities

_PACKAGE = "tensorrt_bindings"
# As NVIDIA's own package of this name; our code looks for it first, so no other one is found.
_TENSORRT = "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
_STAND_IN = "stand-in.so"
_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[2]


@dataclass(frozen=True)
class Bindings:
    """A folder that makes them Python's `tensorrt`, once it is on `PYTHONPATH`."""

    folder: Path
    version: str

    @property
    def capabilities(self) -> Capabilities:
        """What our code takes this version to be able to do."""
        return Capabilities.of(self.version)

    def run(self, *arguments: str) -> str:
        """Run Python with the bindings at hand and return what it prints.

        The libraries crash where a file is broken enough: never load them into pytest's process.
        """
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=_REPOSITORY,
            # The tests in `inside` share a module there.
            env={**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{_HERE / 'inside'}"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
        return done.stdout


@dataclass(frozen=True)
class Installation:
    """What to put together.

    Attributes:
        wheels: Requirements, the bindings first.
        stand_in: C file of the library that the bindings are given.
        names: Under which they ask for it.
        libraries: Those to keep of the other wheels, and the name that the C file opens each under.
    """

    wheels: tuple[str, ...]
    stand_in: str
    names: tuple[str, ...]
    libraries: Mapping[str, str] = field(default_factory=dict)

    def bindings(self) -> Bindings:
        """Return the bindings; fetch and set them up the first time, or skip the test."""
        if sys.platform != "linux" or platform.machine() != "x86_64":
            self._skip("the wheels are for Linux on x86-64")
        version = self.version
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lfw-eval"
        major = version.partition(".")[0]
        folder = cache / f"tensorrt{major}" / f"{version}-{sys.implementation.cache_tag}"
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as temporary:
                new = Path(temporary) / "new"
                self._unpack(self._download(Path(temporary)), new)
                # A folder of that name is whole: two runs at once may both make it; one wins.
                if not folder.is_dir():
                    new.rename(folder)
        self._complete(folder)
        return Bindings(folder, version)

    @property
    def version(self) -> str:
        """The bindings'."""
        return self.wheels[0].partition("==")[2]

    def _skip(self, reason: str) -> NoReturn:
        pytest.skip(f"no bindings of TensorRT {self.version} here: {reason}")

    def _download(self, folder: Path) -> list[Path]:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--retries", "1", "--timeout", "20", "--only-binary", ":all:"]
        command += ["--dest", str(folder), *self.wheels]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip() or "pip failed").rpartition("\n")[2]
            self._skip(f"the package index does not give the wheels ({reason})")
        return list(folder.glob("*.whl"))

    def _unpack(self, wheels: list[Path], folder: Path) -> None:
        """Unpack the bindings, and beside them the libraries that they need."""
        (folder / _PACKAGE).mkdir(parents=True)
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    top, _, name = member.partition("/")
                    if top == _PACKAGE:
                        archive.extract(member, folder)
                    elif name in self.libraries:
                        target = folder / _PACKAGE / self.libraries[name]
                        with archive.open(member) as source, target.open("wb") as file:
                            shutil.copyfileobj(source, file)

    def _complete(self, folder: Path) -> None:
        """Add what is ours: every time, since it may have changed; whole files at any moment."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            self._skip("there is no C compiler (cc or gcc)")
        package = folder / _PACKAGE
        with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as temporary:
            new = Path(temporary) / _STAND_IN
            options = ["-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", "-o", str(new)]
            command = [compiler, *options, str(_HERE / self.stand_in), "-ldl"]
            subprocess.run(command, check=True)
            new.replace(package / _STAND_IN)
            for name in self.names:
                link = Path(temporary) / name
                link.symlink_to(_STAND_IN)
                link.replace(package / name)
            module = Path(temporary) / "tensorrt.py"
            module.write_text(_TENSORRT)
            module.replace(folder / module.name)
