"""An engine that is built and run by workers in other processes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.contract import BuiltEngine, Engine, Outputs, TensorSpec
from lfw_eval.workers.contract import Row, Workers

# A worker idles between two items, so they should be large; but all workers should end together.
_ITEMS_PER_WORKER = 8
_MAX_BATCHES = 512
_BEGAN = "began"
_DESCRIBED = (
    "arithmetic",
    "executed",
    "device",
    "key",
    "adaptation",
    "refinement",
    "calibration_cache",
    "cacheable",
    "size",
    "build_seconds",
)


class DistributedEngine(BuiltEngine):
    """One engine in each worker; the images come from a file that all workers read."""

    def __init__(
        self, workers: Workers, build: Callable[[], Engine], gpus: tuple[int, ...]
    ) -> None:
        """Build the engine once, where there is room for a worker.

        Args:
            workers: In other processes.
            build: Builds the engine in a worker, or loads what was built before.
            gpus: What each worker runs on.

        Raises:
            UserError: The workers or the runtime are unavailable, or it cannot build this model.
        """
        self._workers, self._build, self._gpus = workers, build, gpus
        description = workers.call(describe, build, gpus=gpus)
        for attribute in _DESCRIBED:
            setattr(self, attribute, description[attribute])
        # FPS of a cluster must not be mistaken for, or cached as, a single machine's.
        count = workers.count(gpus)
        self.device = f"{count} x {description['device']}"
        self.key = f"{description['key']}-x{count}"
        self._runtime = str(description["runtime"])
        self.inputs = tuple(TensorSpec(**spec) for spec in description["inputs"])
        self.outputs = tuple(TensorSpec(**spec) for spec in description["outputs"])

    def runtime(self) -> str:
        """Return name and version of the runtime on the workers."""
        return self._runtime

    def stream_images(
        self, images: NDArray[np.uint8], size: int, start: int = 0, *, mirrored: bool = False
    ) -> Iterator[tuple[float, Outputs]]:
        """Run all images from a row on; `images` is a whole memory-mapped .npy file."""
        assert isinstance(images, np.memmap)
        step = item_size(len(images) - start, self._workers.count(self._gpus), size)
        items: list[Row] = [
            {"start": first, "stop": min(first + step, len(images))}
            for first in range(start, len(images), step)
        ]
        arguments = self._build, str(images.filename), size, mirrored
        for row in self._workers.map(items, EmbedRows, *arguments, gpus=self._gpus):
            yield row.pop(_BEGAN), row


class EmbedRows:
    """A worker: rows of a .npy file of images to the engine's outputs."""

    def __init__(
        self, build: Callable[[], Engine], images: str, batch_size: int, mirrored: bool
    ) -> None:
        self._engine = build()
        self._images = np.load(images, mmap_mode="c")
        self._batch_size = batch_size
        self._mirrored = mirrored
        self._engine.run(next(self._engine.image_batches(self._images, batch_size)))

    def __call__(self, rows: Row) -> Iterator[Row]:
        """Run rows `start` to `stop`; `began` says when that was."""
        began = time.time()
        images = self._images[rows["start"] : rows["stop"]]
        batches = self._engine.image_batches(images, self._batch_size, mirrored=self._mirrored)
        outputs = list(self._engine.stream(batches))
        joined = {name: np.concatenate([batch[name] for batch in outputs]) for name in outputs[0]}
        yield {_BEGAN: began, **joined}


def describe(build: Callable[[], Engine]) -> dict[str, Any]:
    """Build an engine, and return its attributes.

    Raises:
        UserError: The runtime is unavailable, or cannot build this model.
    """
    with build() as engine:
        return {
            "runtime": engine.runtime(),
            "inputs": [asdict(spec) for spec in engine.inputs],
            "outputs": [asdict(spec) for spec in engine.outputs],
            **{attribute: getattr(engine, attribute) for attribute in _DESCRIBED},
        }


def item_size(images: int, workers: int, batch_size: int) -> int:
    """Return how many images go to a worker at once, whole batches."""
    batches = -(-images // (workers * _ITEMS_PER_WORKER * batch_size))
    return batch_size * min(batches, _MAX_BATCHES)
