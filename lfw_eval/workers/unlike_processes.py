"""Work in processes that are not alike, such as one for each GPU: items in, rows out in order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from lfw_eval.system.lanes import DeviceLanes, through_lanes
from lfw_eval.workers.contract import Row, Work
from lfw_eval.workers.processes import Processes, core_count


def through_processes(
    items: Sequence[Row], worker: Callable[..., Work], arguments: Sequence[tuple[object, ...]]
) -> Iterator[Row]:
    """Yield the rows of every item, in order; an item goes to the process that is free.

    Args:
        items: Small; they name their data.
        worker: A class that processes can import.
        arguments: Of that class, for each process.

    Raises:
        UserError: A worker raised it, or a process was killed.
    """
    threads = max(1, core_count() // len(arguments))
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Processes(1, worker, *own, threads=threads)) for own in arguments
        ]
        devices = [DeviceLanes(_unchanged, [partial(_rows, own)]) for own in processes]
        for rows in through_lanes(items, devices):
            yield from rows


def _unchanged(item: Row) -> Row:
    return item


def _rows(process: Processes, item: Row) -> list[Row]:
    return list(process.map([item]))
