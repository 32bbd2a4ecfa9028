"""facenet-pytorch on the same photographs, in a Python of its own."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from photograph_sets import Photographs

_SCRIPT = Path(__file__).with_name("photographs_peer.py")
_OURS = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")


def measure_peer(python: str, path: str, photographs: Photographs, seconds: float) -> Any:
    """Return what `photographs_peer.py` prints.

    Args:
        python: An interpreter with PyTorch and torchvision.
        path: Its PYTHONPATH, with facenet-pytorch.
        seconds: Of a measurement, of which there is one by setting.
    """
    variables = {name: value for name, value in os.environ.items() if name not in _OURS}
    with tempfile.TemporaryDirectory() as folder:
        for row, photograph in enumerate(photographs):
            (Path(folder) / f"{row:06d}.jpg").write_bytes(photograph.content)
        done = subprocess.run(
            [python, str(_SCRIPT), folder, "--seconds", str(seconds)],
            env={**variables, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return {"failed": done.stderr.strip().rpartition("\n")[2]}
    return json.loads(done.stdout.strip().rpartition("\n")[2])
