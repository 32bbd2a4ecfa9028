"""Stages that overlap: one thread each, joined by short queues, order kept."""

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

from lfw_eval.system.channel import Channel

Item = TypeVar("Item")

_DEPTH = 2
"""Items that wait between two stages: one being taken while the next one is made."""
_JOIN_SECONDS = 5
"""A camera that gives no picture holds its thread in the driver; it is not waited for longer."""


def overlapped(
    source: Iterable[Item], steps: Sequence[Callable[[Item], Item]], *, lossy: bool = False
) -> Generator[Item, None, None]:
    """Yield every item of the source after all steps, in order, each step in a thread of its own.

    What the source or a step raises is raised here, after the items before it; all other threads
    end then, as they do when the generator is closed.

    Args:
        lossy: Items that the first step is not ready for are dropped, so that none is late.
    """
    first = Channel[Item](1 if lossy else _DEPTH, lossy=lossy)
    channels = [first, *(Channel[Item](_DEPTH) for _ in steps)]
    threads = [threading.Thread(target=_work, args=(source, None, first), daemon=True)]
    threads += [
        threading.Thread(target=_work, args=(inputs, step, outputs), daemon=True)
        for inputs, step, outputs in zip(channels, steps, channels[1:], strict=False)
    ]
    for thread in threads:
        thread.start()
    try:
        yield from channels[-1]
    finally:
        for channel in channels:
            channel.cancel()
        for thread in threads[1:]:
            thread.join()
        threads[0].join(_JOIN_SECONDS)


def plain(
    source: Iterable[Item], steps: Sequence[Callable[[Item], Item]]
) -> Generator[Item, None, None]:
    """Yield every item of the source after all steps, one after another in this thread."""
    for item in source:
        for step in steps:
            item = step(item)
        yield item


def _work(
    inputs: Iterable[Item], step: Callable[[Item], Item] | None, outputs: Channel[Item]
) -> None:
    error = None
    try:
        for item in inputs:
            if not outputs.send(step(item) if step else item):
                break
    except BaseException as raised:
        error = raised
    outputs.finish(error)
    if isinstance(inputs, Channel):
        inputs.cancel()
