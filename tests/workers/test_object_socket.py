import socket
from collections.abc import Iterator

import numpy as np
import pytest

from lfw_eval.workers.object_socket import ObjectSocket, load


@pytest.fixture
def ends() -> Iterator[tuple[ObjectSocket, ObjectSocket]]:
    ours, theirs = map(ObjectSocket, socket.socketpair())
    with ours, theirs:
        yield ours, theirs


def test_objects_arrive_with_arrays_of_any_layout(ends):
    sender, receiver = ends
    values = {
        "strided": np.arange(20)[::3],
        "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "empty": np.empty((0, 4), np.float32),
        "text": np.array(["ä", "b"]),
    }
    sender.send(values)
    sender.send(["another", None])
    arrived = load(receiver.receive())
    assert arrived.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(arrived[name], value)
        assert arrived[name].dtype == value.dtype
    assert load(receiver.receive()) == ["another", None]


def test_the_end_is_told_from_an_object(ends):
    sender, receiver = ends
    sender.send("last")
    sender.close()
    assert load(receiver.receive()) == "last"
    with pytest.raises(EOFError):
        receiver.receive()
    with pytest.raises(OSError, match=r"."):
        receiver.send("too late")
