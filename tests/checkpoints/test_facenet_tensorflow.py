"""facenet's network from files that TensorFlow itself writes, in an environment of its own."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow_facenet

from lfw_eval.checkpoints.conversion import convert, normalisation_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tensorflow(request) -> Path:
    """A Python with TensorFlow, which takes a minute and a gigabyte once."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folder = request.config.cache.mkdir("tensorflow") / version
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.is_file():
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "tensorflow-cpu"]
        pip = subprocess.run(install, capture_output=True, text=True, check=False)
        if pip.returncode:
            pytest.skip(f"TensorFlow cannot be installed: {pip.stderr.strip().splitlines()[-1]}")
        complete.touch()
    return python


@pytest.fixture(scope="module")
def written(tensorflow, tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tensorflow")
    # Without the path that our modules are found by.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for part in ("graphs", "objects"):
        command = [tensorflow, tensorflow_facenet.__file__, part, folder]
        subprocess.run(command, check=True, env=environment, capture_output=True)
    yield folder
    shutil.rmtree(folder)  # some 700 MB, of which pytest would leave three


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [
        ("facenet512.pb", 512),
        ("facenet128.pb", 128),
        ("constants", 512),
        ("variables", 512),
        ("variables/saved_model.pb", 512),
        ("model-2018.ckpt-275", 512),
        ("model-2018.ckpt-275.index", 512),
        ("model-2018.meta", 512),
        ("objects", 512),
    ],
)
def test_embeddings_are_tensorflow_s(name, dimensions, written):
    model = convert(written / name)
    expected = np.load(written / f"facenet{dimensions}.npz")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    crops = expected["crops"].transpose(0, 3, 1, 2)
    (embeddings,) = session.run(None, {model.graph.input[0].name: crops})
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    # Embeddings that do not differ would prove little.
    cosines = expected["embeddings"] @ expected["embeddings"].T
    assert np.abs(cosines - np.eye(len(cosines))).max() < 0.95
    np.testing.assert_allclose(embeddings, expected["embeddings"], rtol=0, atol=1e-5)
    assert normalisation_of(model) == ("fixed" if dimensions == 512 else "per-image")
