"""A worker in a process of its own: items from its parent in, their rows out."""

import os
import socket
from collections.abc import Callable
from queue import Queue
from threading import Thread
from traceback import format_exc
from typing import Any

from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Row, Work
from lfw_eval.workers.object_socket import ObjectSocket, load

START = (
    f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import serve; serve(int(sys.argv[1]))"
)
"""The program of such a process, with a descriptor and its parent's `sys.path` as arguments.

Unlike `multiprocessing`, it does not run the parent's main module, which may be a user's script.
"""


def serve(descriptor: int) -> None:
    """Answer every item with its rows, until the parent is gone.

    Args:
        descriptor: Of the socket on which the parent sends the class of the worker and its
            arguments, and then items.
    """
    objects = ObjectSocket(socket.socket(fileno=descriptor))
    received: Queue[list[bytearray]] = Queue(maxsize=1)
    Thread(target=_receive, args=(objects, received), daemon=True).start()
    work: Work | Exception = _outcome(lambda: _worker(*load(received.get())))
    while True:
        item: Row = load(received.get())
        rows = _outcome(lambda: _rows(work, item))  # noqa: B023
        try:
            objects.send(rows)
        except OSError:  # the parent is gone, which `_receive` need not have noticed yet
            return


def _receive(objects: ObjectSocket, received: "Queue[list[bytearray]]") -> None:
    """Receive the next item while an earlier one is worked on."""
    try:
        while True:
            received.put(objects.receive())
    except EOFError:
        # The parent has what it wanted, or was killed: at once, in the middle of an item too.
        os._exit(0)


def _worker(worker: Callable[..., Work], arguments: tuple[object, ...]) -> Work:
    return worker(*arguments)


def _rows(work: Work | Exception, item: Row) -> list[Row]:
    if isinstance(work, Exception):
        raise work
    return list(work(item))


def _outcome(action: Callable[[], Any]) -> Any:
    """Return what an action returns, or its error in a form that can be sent."""
    try:
        return action()
    except UserError as error:
        return UserError(error.problem, error.hint)
    except Exception:
        return RuntimeError(format_exc())
