"""An engine that is built and run by the workers of a cluster."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines import engine_class_with
from lfw_eval.engines.contract import Batch, BuildRequest, Engine, Outputs, TensorSpec
from lfw_eval.system.errors import UserError
from lfw_eval.workers.ray import Cluster, Row

# A worker drains between two items, and is idle meanwhile; but all are to end at the same time.
_ITEMS_PER_WORKER = 8
_MOST_BATCHES = 512
_BEGAN = "began"
_SAID = ("arithmetic", "device", "key", "known", "size", "build_seconds")


class RayEngine(Engine):
    """One engine in each worker; the images come from a file that all of them read."""

    def __init__(self, cluster: Cluster, name: str, request: BuildRequest, folder: Path) -> None:
        """Build the engine once, on a node that has room for a worker.

        Args:
            cluster: Where the workers are.
            name: A key of `lfw_eval.engines.ENGINES`.
            request: What it is built from.
            folder: Where built engines are kept.

        Raises:
            UserError: The cluster or the runtime is not there, or it cannot build this model.
        """
        self._cluster = cluster
        self._arguments = name, request, folder
        self._gpus = gpus_of(name)
        said = cluster.call(describe, *self._arguments, gpus=self._gpus)
        for attribute in _SAID:
            setattr(self, attribute, said[attribute])
        # FPS of a cluster is not to be taken for one machine's, nor kept as such.
        workers = cluster.workers(self._gpus)
        self.device = f"{workers} x {said['device']}"
        self.key = f"{said['key']}-x{workers}"
        self._runtime = str(said["runtime"])
        self.inputs = tuple(TensorSpec(**spec) for spec in said["inputs"])
        self.outputs = tuple(TensorSpec(**spec) for spec in said["outputs"])

    def runtime(self) -> str:  # type: ignore[override]
        """Return name and version of the runtime on the workers."""
        return self._runtime

    @classmethod
    def build(cls, request: BuildRequest, folder: Path) -> "RayEngine":
        """Not so: an engine on a cluster needs the cluster."""
        raise NotImplementedError

    def run(self, batch: Batch) -> Outputs:
        """Not so: single batches are not worth the way.

        Raises:
            UserError: Always.
        """
        raise UserError("`ray` is for whole data sets", "leave it out to run single batches")

    def stream_images(
        self, images: NDArray[np.uint8], batch_size: int, start: int = 0, *, mirrored: bool = False
    ) -> Iterator[tuple[float, Outputs]]:
        """Run all images from a row on; `images` is a whole memory-mapped .npy file."""
        assert isinstance(images, np.memmap)
        step = item_size(len(images) - start, self._cluster.workers(self._gpus), batch_size)
        items: list[Row] = [
            {"start": first, "stop": min(first + step, len(images))}
            for first in range(start, len(images), step)
        ]
        rows = self._cluster.map(
            items,
            EmbedRows,
            *(*self._arguments, str(images.filename), batch_size, mirrored),
            gpus=self._gpus,
        )
        for row in rows:
            yield row.pop(_BEGAN), row


class EmbedRows:
    """A worker: rows of a .npy file of images to the engine's outputs."""

    def __init__(
        self,
        name: str,
        request: BuildRequest,
        folder: Path,
        images: str,
        batch_size: int,
        mirrored: bool,
    ) -> None:
        self._engine = build(name, request, folder)
        self._images = np.load(images, mmap_mode="c")
        self._batch_size = batch_size
        self._mirrored = mirrored
        self._engine.run(next(self._engine.image_batches(self._images, batch_size)))

    def __call__(self, rows: Row) -> Row:
        """Run rows `start` to `stop`; `began` says when that was."""
        began = time.time()
        images = self._images[rows["start"] : rows["stop"]]
        batches = self._engine.image_batches(images, self._batch_size, mirrored=self._mirrored)
        outputs = list(self._engine.stream(batches))
        made = {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}
        return {_BEGAN: began, **made}


def build(name: str, request: BuildRequest, folder: Path) -> Engine:
    """Build the named engine in this process, or load what was built before.

    Raises:
        UserError: The runtime is not there, or it cannot build this model.
    """
    return engine_class_with(name, request.precision).build(request, folder)


def describe(name: str, request: BuildRequest, folder: Path) -> Row:
    """Build the named engine, and return what it says of itself.

    Raises:
        UserError: As `build`.
    """
    with build(name, request, folder) as engine:
        return {
            "runtime": engine.runtime(),
            "inputs": [asdict(spec) for spec in engine.inputs],
            "outputs": [asdict(spec) for spec in engine.outputs],
            **{attribute: getattr(engine, attribute) for attribute in _SAID},
        }


def item_size(images: int, workers: int, batch_size: int) -> int:
    """Return how many images go to a worker at once, whole batches."""
    batches = -(-images // (workers * _ITEMS_PER_WORKER * batch_size))
    return batch_size * min(batches, _MOST_BATCHES)


def gpus_of(name: str) -> int:
    """Return how many GPUs a worker with this engine takes."""
    return 1 if name == "tensorrt" else 0
