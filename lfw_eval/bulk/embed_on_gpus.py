"""Shards of images to embeddings, decoded, aligned and embedded on the same GPUs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lfw_eval.bulk.image_shards import ShardContent, read_shard
from lfw_eval.datasets.alignment.gpu import GpuAlignment
from lfw_eval.datasets.alignment.gpu_lane import AlignedBatch
from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes
from lfw_eval.datasets.photographs import EncodedPhotograph
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.contract import Engine
from lfw_eval.engines.tensorrt.engine import TensorRTEngine
from lfw_eval.system.closing import Closing
from lfw_eval.workers.contract import Row, Workers
from lfw_eval.workers.in_process import HERE
from lfw_eval.workers.unlike_processes import through_processes


def rows_of_gpus(
    workers: Workers, items: Sequence[Row], engine: EngineSpec, alignment: GpuAlignment
) -> Iterator[Row]:
    """Yield what `EmbeddingShards.write` takes of each shard, in order.

    Several GPUs of this machine get a process each: the threads of one process that feed a GPU are
    kept from those of another by Python's lock.

    Raises:
        UserError: A GPU or a library failed, or the source is not what it was.
    """
    gpus = alignment.gpus
    if workers is not HERE or len(gpus) == 1:
        return workers.map(items, EmbedOnGpus, engine, alignment, gpus=gpus)
    arguments = [(engine.on((gpu,)), replace(alignment, gpus=(gpu,))) for gpu in gpus]
    return through_processes(items, EmbedOnGpus, arguments)


class EmbedOnGpus(Closing):
    """A worker: a shard of images to embeddings.

    On TensorRT crops stay on their GPU; another engine gets them from the host.
    """

    def __init__(self, engine: EngineSpec, alignment: GpuAlignment) -> None:
        self._batch_size = engine.choice.batch_size
        self._engine = engine.local()
        on_gpu = self._engine if isinstance(self._engine, TensorRTEngine) else None
        self._on_host: Engine | None = None if on_gpu else self._engine
        try:
            self._lanes = GpuLanes.open(alignment, on_gpu)
        except BaseException:
            self._engine.close()
            raise

    def __call__(self, shard: Row) -> Iterator[Row]:
        """Yield what `EmbeddingShards.write` takes of the shard."""
        content = ShardContent()
        # Crops go as they are embedded: those of a shard are gigabytes.
        batches = [
            replace(batch, values=self._embedded(batch))
            for batch in self._lanes.align(_encoded(shard, content))
        ]
        empty = np.empty((0, self._engine.outputs[0].shape[1]), np.float32)
        yield {
            "names": [name for batch in batches for name in batch.names],
            "embeddings": np.concatenate([empty, *(batch.values for batch in batches)]),
            "boxes": np.concatenate([np.empty((0, 4)), *(batch.boxes for batch in batches)]),
            "detected": np.concatenate([np.empty(0, bool), *(b.detected for b in batches)]),
            "unreadable": [name for batch in batches for name, _ in batch.unreadable],
            "stamp": shard["stamp"],
            "content": content.hexdigest(),
        }

    def close(self) -> None:
        """Free the GPUs' memory."""
        self._lanes.close()
        self._engine.close()

    def _embedded(self, batch: AlignedBatch) -> NDArray[np.float32]:
        """Return the embeddings of a batch (n, d)."""
        if self._on_host is None:
            return batch.values
        crops = self._on_host.image_batches(batch.values, self._batch_size)
        name = self._engine.outputs[0].name
        return np.concatenate([outputs[name] for outputs in self._on_host.stream(crops)])


def _encoded(shard: Row, read: ShardContent) -> Iterator[EncodedPhotograph]:
    """Yield the images of a shard, noting what was read."""
    for name, content in read_shard(shard):
        read.add(name, content)
        yield EncodedPhotograph(name, content, name)
