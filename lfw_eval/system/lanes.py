"""Batches through devices in threads: one that prepares them, and lanes that work on them."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lfw_eval.system.channel import Channel

Batch = TypeVar("Batch")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")

_READER_SECONDS = 5
"""A source that does not answer, as on a network, is not waited for longer."""


@dataclass(frozen=True)
class DeviceLanes(Generic[Batch, Prepared, Result]):
    """What a device does with batches.

    Attributes:
        prepare: Prepares a batch, in a thread of its own; at most one waits for a lane then.
        lanes: Work on a batch each, in a thread of their own.
    """

    prepare: Callable[[Batch], Prepared]
    lanes: Sequence[Callable[[Prepared], Result]]


def through_lanes(
    batches: Iterable[Batch], devices: Sequence[DeviceLanes[Batch, Prepared, Result]]
) -> Iterator[Result]:
    """Yield the result of every batch, in order; a batch goes to the device that is ready for it.

    Batches are read ahead in a thread of their own, no more than there are places for. What the
    source or a step raises is raised here, after the results before it. All threads end then, and
    when the iterator is closed, once they are through with what they are at.
    """
    places = sum(len(device.lanes) + 2 for device in devices)
    order = Channel[Future[Result]](places)
    waiting = Channel[tuple[Batch, Future[Result]]](len(devices))
    reader = threading.Thread(
        target=_read, args=(batches, order, waiting), name="reader", daemon=True
    )
    threads = []
    channels: list[Channel[Any]] = [order, waiting]
    for device in devices:
        ready = Channel[tuple[Prepared, Future[Result]]](1)
        channels.append(ready)
        threads.append(_thread("prepare", _prepare, device.prepare, waiting, ready))
        threads += [_thread("lane", _work, lane, ready) for lane in device.lanes]
    for thread in (reader, *threads):
        thread.start()
    try:
        for future in order:
            yield future.result()
    finally:
        for channel in channels:
            channel.cancel()
        for thread in threads:
            thread.join()
        reader.join(_READER_SECONDS)


def _thread(name: str, target: Callable[..., None], *arguments: object) -> threading.Thread:
    return threading.Thread(target=target, args=arguments, name=name, daemon=True)


def _read(
    batches: Iterable[Batch],
    order: Channel[Future[Result]],
    waiting: Channel[tuple[Batch, Future[Result]]],
) -> None:
    error = None
    try:
        for batch in batches:
            future: Future[Result] = Future()
            if not (order.send(future) and waiting.send((batch, future))):
                break
    except BaseException as raised:
        error = raised
    order.finish(error)
    waiting.finish()


def _prepare(
    prepare: Callable[[Batch], Prepared],
    waiting: Channel[tuple[Batch, Future[Result]]],
    ready: Channel[tuple[Prepared, Future[Result]]],
) -> None:
    for batch, future in waiting:
        try:
            prepared = prepare(batch)
        except BaseException as error:
            future.set_exception(error)
        else:
            ready.send((prepared, future))
    ready.finish()


def _work(
    lane: Callable[[Prepared], Result], ready: Channel[tuple[Prepared, Future[Result]]]
) -> None:
    for prepared, future in ready:
        try:
            future.set_result(lane(prepared))
        except BaseException as error:
            future.set_exception(error)
