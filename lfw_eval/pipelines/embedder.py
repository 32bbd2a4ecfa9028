"""An engine as arrays see it: crops in, embeddings out."""

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.pipelines.side_by_side import describe_engine
from lfw_eval.results.engine import EngineDescription
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError, require_type


class Embedder(Closing):
    """A network on an engine, which embeds crops; `load_engine` returns one.

    A context manager: leaving it frees the engine's memory.

    Attributes:
        about: The engine: precision, arithmetic, runtime, device, key and size.
        crop_shape: Height, width and channels of a crop.
        dimensions: Of an embedding.
    """

    def __init__(self, engine: Engine, precision: Precision, batch_size: int) -> None:
        self._engine, self._batch_size = engine, batch_size
        self._closed = False
        self.about: EngineDescription = describe_engine(engine, precision)
        self.crop_shape: tuple[int, ...] = engine.inputs[0].shape[1:]
        self.dimensions: int = engine.outputs[0].shape[1]

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed crops, in batches of the size that the engine was loaded with.

        Args:
            crops: Aligned faces, uint8 `(n, height, width, 3)`, RGB, 0 to 255: the network's own
                normalisation is part of the engine.

        Returns:
            float32 `(n, dimensions)`, as the network gives them, not of length 1.

        Raises:
            UserError: `crops` are of another type or shape, or the engine is closed.
        """
        if self._closed:
            raise UserError("the engine is closed", "embed inside its with block")
        require_crops(crops, self.crop_shape)
        batches = self._engine.image_batches(crops, self._batch_size)
        name = self._engine.outputs[0].name
        parts = [outputs[name] for outputs in self._engine.stream(batches)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimensions), np.float32)

    def close(self) -> None:
        """Free the engine; closing it again does nothing."""
        if not self._closed:
            self._closed = True
            self._engine.close()

    def __repr__(self) -> str:
        about = self.about
        return f"<Embedder in {about.arithmetic}, {about.runtime} on {about.device}>"


def require_crops(crops: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    """Refuse crops that a network cannot take.

    Args:
        crops: To be uint8 `(n, *shape)`.
        shape: Height, width and channels.

    Raises:
        UserError: They are of another type or shape.
    """
    wanted = f"uint8 (n, {', '.join(map(str, shape))})"
    require_type("crops", crops, np.ndarray, f"an array, {wanted}")
    if crops.dtype != np.uint8 or crops.shape[1:] != shape:
        raise UserError(
            f"`crops` must be {wanted}, not {crops.dtype} {crops.shape}",
            "align the faces to the network's size, in RGB, 0 to 255",
        )
