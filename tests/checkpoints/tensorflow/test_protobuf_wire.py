import pytest
from tensorflow_files import field, varint

from lfw_eval.checkpoints.tensorflow import protobuf_wire
from lfw_eval.checkpoints.tensorflow.protobuf_wire import MalformedError, MessageReader


def read(message):
    return list(MessageReader().fields(memoryview(message)))


def test_fields_in_order():
    message = field(1, 300) + field(15, b"name") + b"\x25\0\0\x80\x3f" + b"\x29" + bytes(8)
    assert read(message) == [(1, 300), (15, b"name"), (4, b"\0\0\x80\x3f"), (5, bytes(8))]
    assert list(MessageReader().messages(memoryview(message), 15)) == [b"name"]


@pytest.mark.parametrize(
    "message",
    [
        field(1, 300)[:-1],  # ends in a number
        field(1, b"name")[:-1],  # or in a string
        b"\x25\0\0",
        b"\x0b",  # a group, which only Protocol Buffers 1 had
        b"\x0a" + varint(2**63),
        b"\xff" * 11,
    ],
)
def test_damage_is_told(message):
    with pytest.raises(MalformedError):
        read(message)


def test_the_fields_of_a_file_are_limited(monkeypatch):
    monkeypatch.setattr(protobuf_wire, "MAX_FIELDS", 10)
    reader = MessageReader()
    message = memoryview(field(1, 1) * 6)
    assert len(list(reader.fields(message))) == 6
    with pytest.raises(MalformedError, match="more than 10 fields"):
        list(reader.fields(message))
