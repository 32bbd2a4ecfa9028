"""Crops to embeddings through an engine, each image once, with the time that it took."""

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.engines.contract import BuiltEngine
from lfw_eval.pipelines.partial_embeddings import PartialEmbeddings, UnsavedEmbeddings
from lfw_eval.system.files import array_sha256, is_writable
from lfw_eval.system.records import DamagedError, read_record, say_remade, write_record


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of a crop store.

    Attributes:
        values: float32 (n, dimensions), as the network gives them, not normalised.
        seconds: From the crops in the store to the embeddings, engine building left out.
        measured: The day on which they were made, such as 2026-01-31.
        from_cache: They, and their time, are of an earlier run.
    """

    values: NDArray[np.float32]
    seconds: float
    measured: str
    from_cache: bool


def embed(
    engine: BuiltEngine,
    store: CropStore,
    batch_size: int,
    *,
    flip: bool = False,
    reuse: bool = False,
) -> Embeddings:
    """Embed every crop of a store.

    Embeddings are kept beside the crops under the engine's key, where files can be written there.
    What an interrupted run finished is not repeated; a complete file is read back if `reuse`, and
    overwritten otherwise. Callers hold a lock, since several processes write the same files.

    Args:
        flip: Embed the mirror images instead.
        reuse: Take the embeddings, and the time they took, of an earlier run.
    """
    name = f"embeddings-{engine.key}-bs{batch_size}{'-flip' if flip else ''}"
    path, record = store.folder / f"{name}.npy", store.folder / f"{name}.json"
    shape = (len(store.names), engine.outputs[0].shape[1])
    of: dict[str, object] = {"crops": store.digest, "shape": list(shape)}
    if reuse and engine.cacheable:
        try:
            if earlier := _read(path, record, of):
                return earlier
        except DamagedError as error:
            say_remade(path, error)
    part: UnsavedEmbeddings
    if saved := is_writable(store.folder):
        part = PartialEmbeddings(path, shape, of, resume=engine.cacheable)
    else:
        part = UnsavedEmbeddings(shape)
    bar = tqdm(total=len(part.values), initial=part.done, desc="embed", unit="img", disable=None)
    start = np.inf
    try:
        with bar:
            stream = engine.stream_images(store.crops, batch_size, part.done, mirrored=flip)
            for began, outputs in stream:
                start = min(start, began)
                embeddings = outputs[engine.outputs[0].name]
                part.add(embeddings)
                bar.update(len(embeddings))
    finally:
        part.seconds += max(time.time() - start, 0)
        part.save()
    seconds, measured = part.seconds, date.today().isoformat()
    values = np.array(part.values)
    if saved:
        record.unlink(missing_ok=True)
    part.finish()
    if saved:
        digest = array_sha256(values)
        content = {"of": of, "sha256": digest, "seconds": seconds, "measured": measured}
        write_record(record, content)
    return Embeddings(values, seconds, measured, from_cache=False)


def _read(path: Path, record: Path, of: dict[str, object]) -> Embeddings | None:
    """Return what an earlier run embedded, or None where none did.

    Raises:
        DamagedError: It is not what was written, or is of other crops.
    """
    content = read_record(record)
    if content is None:
        return None
    if content["of"] != of:
        raise DamagedError("is damaged (it is of other crops)")
    try:
        values = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedError(f"is damaged ({error})") from error
    if values.dtype != np.float32 or array_sha256(values) != content["sha256"]:
        raise DamagedError("is damaged (it is not what was written)")
    return Embeddings(values, content["seconds"], content["measured"], from_cache=True)
