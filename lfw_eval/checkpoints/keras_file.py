"""What a Keras HDF5 file holds, read in a process of its own.

A damaged file makes libhdf5 loop for minutes or allocate all memory, in C, where nothing can stop
it. So `python -m lfw_eval.checkpoints.keras_file FILE.h5 OUT.npz` reads it with limits on its CPU
time and memory, both in proportion to the file's size.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.npz import read_npz
from lfw_eval.system.errors import first_line

Layer = dict[str, Any]
Weights = dict[str, dict[str, NDArray[np.float32]]]

_CPU_SECONDS, _BYTES_PER_SECOND = 3, 25_000_000
_MEMORY, _COPIES = 1 << 28, 4
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HEADER = "header"


@dataclass(frozen=True, eq=False)
class KerasFile:
    """A functional Keras model.

    Attributes:
        layers: Their configurations, in order.
        output: Name of the layer that gives the output.
        weights: By layer, then by Keras name: kernel, bias, beta, moving_mean, ...
    """

    layers: list[Layer]
    output: str
    weights: Weights


def read_keras_file(path: Path) -> KerasFile:
    """Read a file with `model_config` and `model_weights`.

    Raises:
        ValueError: It is truncated, damaged or something else.
    """
    with tempfile.TemporaryDirectory(prefix="lfw-eval-") as folder:
        arrays = Path(folder) / "arrays.npz"
        process = subprocess.run(
            [sys.executable, "-m", __name__, str(path.absolute()), str(arrays)],
            # The threads of a BLAS would take up address space, which is limited.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        if process.returncode:
            raise ValueError(
                process.stdout.strip() or "reading it takes too long or too much memory"
            )
        content = read_npz(arrays)
    header = json.loads(content[_HEADER].tobytes())
    weights = {
        layer: {
            weight: content[key].astype(np.float32, copy=False) for weight, key in names.items()
        }
        for layer, names in header["weights"].items()
    }
    return KerasFile(header["layers"], header["output"], weights)


def _limit(size: int) -> None:
    """Limit this process to what it has taken already and what a file of `size` bytes needs."""
    seconds = _CPU_SECONDS + size // _BYTES_PER_SECOND
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * _PAGE + _MEMORY + _COPIES * size
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    _limit(path.stat().st_size)
    arrays: dict[str, NDArray[Any]] = {}
    names: dict[str, dict[str, str]] = {}
    with h5py.File(path, "r") as file:
        config = json.loads(file.attrs["model_config"])["config"]
        for layer in config["layers"]:
            group = file["model_weights"].get(layer["name"])
            if group is None:
                continue
            own = names.setdefault(layer["name"], {})
            for name in np.asarray(group.attrs["weight_names"]).astype(str).tolist():
                key = own[name.split("/")[-1].split(":")[0]] = str(len(arrays))
                arrays[key] = np.asarray(group[name], dtype=np.float32)
    header = {
        "layers": config["layers"],
        "output": config["output_layers"][0][0],
        "weights": names,
    }
    arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return arrays


def _main() -> None:
    source, arrays = map(Path, sys.argv[1:])
    try:
        np.savez(arrays, allow_pickle=False, **_read(source))
    except Exception as error:  # h5py raises whatever fits what it stumbled over
        print(first_line(error))
        sys.exit(1)


if __name__ == "__main__":
    _main()
