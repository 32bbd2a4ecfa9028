"""Suppression of any boxes by the kernels of suppression.cu, which stand for the detector's."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.engines.cuda.device import Device, Module
from lfw_eval.engines.cuda.memory import Buffers

KERNELS = Path(__file__).with_name("block_suppression.cu")
_CANDIDATE = 32  # bytes


def suppress_on_device(
    device: Device,
    module: Module,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    groups: NDArray[np.integer[Any]],
    threshold: float,
    *,
    relative_to_smaller: bool,
    threads: int = 64,
) -> NDArray[np.int32]:
    """Return what `suppression.suppress` would, of boxes that are sorted by their group."""
    count = int(groups.max(initial=-1)) + 1
    offsets = np.searchsorted(groups, np.arange(count + 1)).astype(np.int32)
    stream = device.stream()
    with device.active(), Buffers(device) as memory:
        addresses = []
        for name, values in {"boxes": boxes, "scores": scores, "offsets": offsets}.items():
            host = memory.page_locked(name, values.shape, values.dtype)
            host[...] = values
            addresses.append(memory.reserve(name, values.nbytes))
            stream.to_device(addresses[-1], host)
        candidates = memory.reserve("candidates", _CANDIDATE * len(boxes))
        chosen, counts = (
            memory.reserve("chosen", 4 * len(boxes)),
            memory.reserve("counts", count * 4),
        )
        name = "choose_by_smaller" if relative_to_smaller else "choose_by_union"
        module.kernel(name).launch(
            stream, count, threads, *map(np.uint64, addresses), np.float32(threshold),
            *map(np.uint64, (candidates, chosen, counts)),
        )  # fmt: skip
        all_chosen = memory.page_locked("chosen", (len(boxes),), np.int32)
        sizes = memory.page_locked("counts", (count,), np.int32)
        stream.to_host(all_chosen, chosen)
        stream.to_host(sizes, counts)
        stream.synchronize()
        parts = [all_chosen[k : k + n] for k, n in zip(offsets, sizes, strict=False)]
        return np.concatenate([np.empty(0, np.int32), *parts])
