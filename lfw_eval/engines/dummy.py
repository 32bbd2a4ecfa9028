"""An engine without a model: it validates the pipeline in seconds, and its numbers mean nothing."""

from pathlib import Path

import numpy as np

from lfw_eval.engines.contract import Batch, BuildRequest, Engine, Outputs, TensorSpec
from lfw_eval.engines.store import EngineStore

_DIMENSIONS = 128
_GRID = 16


class DummyEngine(Engine):
    """Projects the crop, averaged to 16x16 cells, onto 128 fixed random directions."""

    precisions = ("fp32", "fp16", "int8")
    arithmetic = "random projection"
    device = "none"

    def __init__(self, key: str) -> None:
        self.key = key
        self.inputs = (TensorSpec("crops", (-1, 160, 160, 3), "uint8"),)
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
        return cls(EngineStore.of(folder, request, cls.runtime(), cls.device, {}).key)

    def run(self, batch: Batch) -> Outputs:
        """Project one batch."""
        crops = batch["crops"]
        cells = crops.reshape(len(crops), _GRID, 160 // _GRID, _GRID, 160 // _GRID, 3)
        means = cells.mean(axis=(2, 4), dtype=np.float32).reshape(len(crops), -1)
        means -= means.mean(axis=1, keepdims=True)
        return {"embedding": means @ self._directions}
