"""Run a user's network as it is, and as the suite runs it."""

from pathlib import Path

import numpy as np
import onnxruntime

import lfw_eval as le

NORMALISATION = "arcface"
ENGINES = ("onnxruntime", "openvino")


def original(path: Path, crops: np.ndarray) -> np.ndarray:
    """Return the embeddings by ONNX Runtime of the file as it is."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    images = (crops.astype(np.float32) - 127.5) / 127.5
    if image.shape[1] == 3:
        images = images.transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(images, np.float16 if "float16" in image.type else np.float32)
    size = image.shape[0] if isinstance(image.shape[0], int) else len(images)
    parts = [images[start : start + size] for start in range(0, len(images), size)]
    outputs = [session.run(None, {image.name: part})[0].reshape(size, -1) for part in parts]
    return np.concatenate(outputs).astype(np.float64)


def embeddings(path: Path, crops: np.ndarray, engine: str, **options: object) -> np.ndarray:
    """Return the embeddings by an engine of the suite's."""
    with le.load_engine(path, engine=engine, normalisation=NORMALISATION, **options) as network:
        return network.embed(crops).astype(np.float64)


def mean_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean cosine of rows."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.mean((one * other).sum(axis=1) / lengths))
