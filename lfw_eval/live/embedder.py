"""Embeddings of crops, by one engine that several threads share."""

import threading

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.contract import Engine
from lfw_eval.live.frame import Image
from lfw_eval.metrics.verification.distance import normalise


class Embedder:
    """An engine, run by one thread at a time."""

    def __init__(self, engine: Engine, batch_size: int) -> None:
        """Take an engine, whose largest batch is `batch_size`."""
        self._engine, self._batch_size = engine, batch_size
        self._lock = threading.Lock()

    def embed(self, crops: list[Image]) -> NDArray[np.float64]:
        """Return the embeddings, float64 (n, d), of length 1, of crops uint8 (height, width, 3).

        Raises:
            UserError: The engine returns an embedding that is not finite.
        """
        source, output = self._engine.inputs[0].name, self._engine.outputs[0].name
        embeddings = []
        with self._lock:
            for first in range(0, len(crops), self._batch_size):
                batch = np.stack(crops[first : first + self._batch_size])
                embeddings.append(self._engine.run({source: batch})[output])
        return np.asarray(normalise(np.concatenate(embeddings)))
