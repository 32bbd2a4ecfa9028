"""Images of any number to embeddings: aligned, embedded and written shard by shard."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.bulk.embed_on_gpus import rows_of_gpus
from lfw_eval.bulk.embedding_shards import EmbeddingShards, ImageCounts, MadeOf
from lfw_eval.bulk.image_shards import HashShard, ImageShards, ShardContent, list_shards, read_shard
from lfw_eval.datasets.alignment import Alignment, AnyAlignment, BoxAlignment, GpuAlignment
from lfw_eval.datasets.alignment.photographs_to_crops import aligned_rows
from lfw_eval.datasets.photographs import RECIPE as DECODING
from lfw_eval.datasets.photographs import decode
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.distributed import describe
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256
from lfw_eval.workers.contract import Row, Workers
from lfw_eval.workers.in_process import HERE

Advance = Callable[[int], object]
"""Takes the number of images that are done since the last call."""

# Batches in a shard: an engine drains between two shards, and is idle meanwhile.
_BATCHES = 16
_MOST_IMAGES = 4096
_GPU_IMAGES = 16_384
"""In a shard where GPUs align as well: they have it within a second, and several share a source."""


def shards_to_embed(source: Path, output: Path, alignment: AnyAlignment, batch: int) -> ImageShards:
    """Return a source's shards, having seen that they can be embedded into `output`.

    Raises:
        UserError: They cannot.
    """
    if source.resolve() in (output.resolve(), *output.resolve().parents):
        raise UserError(f"{output} lies within {source}, which is read", "name another folder")
    EmbeddingShards(output).require_free()
    on_gpus = isinstance(alignment, GpuAlignment)
    shards = list_shards(source, _GPU_IMAGES if on_gpus else min(_BATCHES * batch, _MOST_IMAGES))
    if isinstance(alignment, BoxAlignment):
        _require_boxes(source, shards)
    return shards


def _require_boxes(source: Path, shards: ImageShards) -> None:
    """Boxes are given by LFW's names, which are those of files without suffix."""
    if shards.items[0]["form"] != "folder":
        raise UserError("`boxes` goes with a folder of images", f"{source} holds none")
    stems = Counter(PurePosixPath(name).stem for item in shards.items for name in item["names"])
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise UserError(f"{source} has several images named {twice[0]}, which `boxes` cannot tell")


@dataclass(frozen=True)
class EmbedJob:
    """Images to embed.

    Attributes:
        source: Where they are.
        shards: See `shards_to_embed`.
        output: The folder of the embeddings; see `EmbeddingShards`.
        alignment: Images to crops.
        engine: What embeds them.
        verify_images: Read the images of all finished shards, even those that seem unchanged.
    """

    source: Path
    shards: ImageShards
    output: Path
    alignment: AnyAlignment
    engine: EngineSpec
    verify_images: bool = False

    def run(self, workers: Workers) -> ImageCounts:
        """Embed all images; shards that are finished are not done again while their images are.

        An image that cannot be decoded is left out and named in the output's `unreadable.txt`.

        Raises:
            UserError: For any mistake in the source, the output or the engine.
        """
        description = workers.call(
            describe, self.engine.local, gpus=self.engine.choice.options.gpus
        )
        written = EmbeddingShards(self.output)
        with written.locked():
            done = written.begin(self._about(description))
            if done and not description["cacheable"]:
                raise UserError(
                    f"{self.output} was begun with {self.engine.choice.label}, and nothing tells "
                    "whether that still is the same network",
                    "delete it, or name another folder",
                )
            self._embed(workers, written, self._current(workers, done))
            return written.finish()

    def _about(self, description: Mapping[str, object]) -> dict[str, object]:
        """Return what the embeddings depend on, the engine being described so."""
        request = self.engine.request
        return {
            "source": str(self.source.resolve()),
            "source_digest": self.shards.digest,
            "shards": len(self.shards.items),
            "alignment": self.alignment.fingerprint,
            "decode": DECODING,
            **self.alignment.versions,
            "model": file_sha256(request.model),
            "normalisation": request.normalisation,
            "precision": request.precision,
            "scales": request.scales.digest() if request.scales else "",
            "engine": self.engine.choice.label,
            "runtime": description["runtime"],
            "device": description["device"],
            "key": description["key"],
        }

    def _embed(self, workers: Workers, written: EmbeddingShards, current: set[int]) -> None:
        """Embed and write all shards but the current ones."""
        shards = self.shards
        remaining = [item for item in shards.items if item["shard"] not in current]
        reused = shards.images - sum(map(_size, remaining))
        with tqdm(
            total=shards.images, initial=reused, desc="embed", unit="img", disable=None
        ) as bar:
            ends = reused
            rows = self._rows(workers, remaining, bar.update if workers is HERE else None)
            for item, row in zip(remaining, rows, strict=True):
                written.write(item["shard"], row)
                ends += _size(item)
                bar.update(ends - bar.n)

    def _rows(
        self, workers: Workers, items: Sequence[Row], advance: Advance | None
    ) -> Iterator[Row]:
        """Yield what `EmbeddingShards.write` takes of each shard."""
        if isinstance(self.alignment, GpuAlignment):
            return rows_of_gpus(workers, items, self.engine, self.alignment)
        gpus = self.engine.choice.options.gpus
        prepare = partial(crop_images, alignment=self.alignment, advance=advance)
        return workers.map(items, EmbedCrops, self.engine, gpus=gpus, prepare=prepare)

    def _current(self, workers: Workers, done: Mapping[int, MadeOf]) -> set[int]:
        """The finished shards whose images are those that they were made of."""
        finished = [item for item in self.shards.items if item["shard"] in done]
        current = {
            item["shard"]
            for item in finished
            if not self.verify_images and item["stamp"] == done[item["shard"]].stamp != ""
        }
        doubtful = [item for item in finished if item["shard"] not in current]
        for item, row in zip(doubtful, workers.map(doubtful, HashShard), strict=True):
            if row["content"] == done[item["shard"]].content:
                current.add(item["shard"])
        return current


class EmbedCrops:
    """A worker: the crops of a shard to embeddings."""

    def __init__(self, engine: EngineSpec) -> None:
        self._engine = engine.local()
        self._batch_size = engine.choice.batch_size

    def __call__(self, shard: Row) -> Iterator[Row]:
        """Yield the shard with `embeddings` (n, d), float32, in the place of `crops`."""
        batches = self._engine.image_batches(shard["crops"], self._batch_size)
        output = self._engine.outputs[0]
        embeddings = [outputs[output.name] for outputs in self._engine.stream(batches)]
        empty = np.empty((0, output.shape[1]), np.float32)
        rest = {key: value for key, value in shard.items() if key != "crops"}
        yield {**rest, "embeddings": np.concatenate([empty, *embeddings])}


def crop_images(item: Row, alignment: Alignment, advance: Advance | None = None) -> Row:
    """Read and align a shard.

    Args:
        item: The shard.
        alignment: Images to crops.
        advance: Called with the number of images of each batch that is aligned, where it is this
            process that shows the progress.

    Returns:
        `names`, `crops` uint8 (n, height, width, 3), `boxes` (n, 4), `detected` (n,), the names of
        `unreadable` images, which have none of these, and `stamp` and `content` of the shard.
    """
    names: list[str] = []
    unreadable: list[str] = []
    content = ShardContent()
    rows: list[Row] = []
    for row in aligned_rows(_decoded(item, names, unreadable, content), alignment):
        rows.append(row)
        if advance:
            advance(len(row["names"]))
    nothing = alignment.align([], [])
    arrays = {
        key: np.concatenate([getattr(nothing, key), *(row[key] for row in rows)])
        for key in ("crops", "boxes", "detected")
    }
    return {
        **arrays,
        "names": names,
        "unreadable": unreadable,
        "stamp": item["stamp"],
        "content": content.hexdigest(),
    }


def _decoded(
    item: Row, names: list[str], unreadable: list[str], read: ShardContent
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield images under the names that boxes have, noting their own and what was read."""
    for name, content in read_shard(item):
        read.add(name, content)
        try:
            image = decode(content, name)
        except UserError:
            unreadable.append(name)
            continue
        names.append(name)
        yield PurePosixPath(name).stem, image


def _size(item: Row) -> int:
    return int(item["stop"]) - int(item["start"])
