"""Crops to embeddings through an engine, each image once, with the time that it took."""

import json
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.engines.contract import BuiltEngine
from lfw_eval.system.files import allocate_array, write_atomically


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

    Embeddings are kept beside the crops under the engine's key. What an interrupted run finished is
    not repeated; a complete file is read back if `reuse`, and overwritten otherwise.

    Args:
        flip: Embed the mirror images instead.
        reuse: Take the embeddings, and the time they took, of an earlier run.
    """
    name = f"embeddings-{engine.key}-bs{batch_size}{'-flip' if flip else ''}"
    part, progress = store.folder / f"{name}.part.npy", store.folder / f"{name}.part.json"
    whole, record = store.folder / f"{name}.npy", store.folder / f"{name}.json"
    if reuse and record.is_file():
        content = json.loads(record.read_text(encoding="utf-8"))
        seconds, measured = content["seconds"], content["measured"]
        return Embeddings(np.load(whole), seconds, measured, from_cache=True)

    shape = (len(store.names), engine.outputs[0].shape[1])
    done, seconds = _finished(progress) if part.is_file() and engine.cacheable else (0, 0.0)
    values = open_memmap(part, mode="r+") if done else allocate_array(part, shape, np.float32)
    bar = tqdm(total=shape[0], initial=done, desc="embed", unit="img", disable=None)
    start = np.inf
    try:
        with bar:
            stream = engine.stream_images(store.crops, batch_size, done, mirrored=flip)
            for began, outputs in stream:
                start = min(start, began)
                embeddings = outputs[engine.outputs[0].name]
                values[done : done + len(embeddings)] = embeddings
                done += len(embeddings)
                bar.update(len(embeddings))
    finally:
        seconds += max(time.time() - start, 0)
        values.flush()
        if done < shape[0]:
            write_atomically(progress, json.dumps([done, seconds]).encode())
    record.unlink(missing_ok=True)
    part.replace(whole)
    progress.unlink(missing_ok=True)
    measured = date.today().isoformat()
    content = {"seconds": seconds, "measured": measured}
    write_atomically(record, json.dumps(content).encode())
    return Embeddings(np.array(values), seconds, measured, from_cache=False)


def _finished(progress: Path) -> tuple[int, float]:
    try:
        done, seconds = json.loads(progress.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0, 0.0
    return int(done), float(seconds)
