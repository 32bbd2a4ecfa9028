"""An engine without a model: it validates the pipeline in seconds, and its numbers mean nothing."""

from pathlib import Path

import numpy as np
import onnx

from lfw_eval.checkpoints.checkpoint import image_shape
from lfw_eval.engines.contract import Batch, BuildRequest, Engine, Outputs, TensorSpec
from lfw_eval.engines.store import EngineStore

_DIMENSIONS = 128
_GRID = 16


class DummyEngine(Engine):
    """Projects the crop, averaged to 16x16 cells, onto 128 fixed random directions."""

    precisions = ("fp32", "fp16", "int8")
    arithmetic = "random projection"
    device = "none"

    def __init__(self, key: str, image: tuple[int, int, int]) -> None:
        """Take crops of an image's height, width and channels."""
        self.key = key
        self.inputs = (TensorSpec("crops", (-1, *image), "uint8"),)
        self.outputs = (TensorSpec("embedding", (-1, _DIMENSIONS), "float32"),)
        self._directions = np.random.default_rng(0).standard_normal(
            (_GRID * _GRID * 3, _DIMENSIONS), dtype=np.float32
        )

    @staticmethod
    def runtime() -> str:
        """Return the engine's own name."""
        return "dummy 1"

    @classmethod
    def build(cls, request: BuildRequest, folder: Path) -> "DummyEngine":
        """Return the engine; nothing is built."""
        store = EngineStore.of(folder, request, cls.runtime(), cls.device, {})
        return cls(store.key, image_shape(onnx.load(request.model, load_external_data=False)))

    def run(self, batch: Batch) -> Outputs:
        """Project one batch."""
        crops = batch["crops"]
        down, across = (np.arange(_GRID + 1) * side // _GRID for side in crops.shape[1:3])
        sums = np.add.reduceat(crops, down[:-1], axis=1, dtype=np.float32)
        sums = np.add.reduceat(sums, across[:-1], axis=2)
        pixels = np.outer(np.diff(down), np.diff(across)).astype(np.float32)
        means = (sums / pixels[..., None]).reshape(len(crops), -1)
        means -= means.mean(axis=1, keepdims=True)
        return {"embedding": means @ self._directions}
