"""Protocol Buffers read field by field, without their classes and within limits.

The encoding is described at protobuf.dev/programming-guides/encoding. Parsing a message at once
would take many times the memory of a file that is made of empty messages.
"""

from collections.abc import Iterator

MAX_FIELDS = 2_000_000  # FaceNet's graph has 70,653 in 5,892 nodes
_VARINT_BYTES = 10
_FIXED_BYTES = {1: 8, 5: 4}

Value = int | memoryview


class MalformedError(Exception):
    """The bytes are not what they should be; the message says how, for the end of a sentence."""


class MessageReader:
    """Reads the messages of one file, and no more than `MAX_FIELDS` of their fields."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def fields(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        """Return the number and value of a message's fields, in order.

        A value is an int for a varint, or else its bytes: of a string, a message, packed numbers,
        or one of fixed size.

        Raises:
            MalformedError: The message is damaged, or the file has too many fields.
        """
        position = 0
        while position < len(message):
            self._left -= 1
            if self._left < 0:
                raise MalformedError(f"it has more than {MAX_FIELDS:,} fields")
            tag, position = varint(message, position)
            number, kind = tag >> 3, tag & 7
            if kind == 0:
                value, position = varint(message, position)
                yield number, value
                continue
            if kind == 2:
                size, position = varint(message, position)
            elif kind in _FIXED_BYTES:
                size = _FIXED_BYTES[kind]
            else:
                raise MalformedError("it has bytes that no field begins with")
            if size > len(message) - position:
                raise MalformedError("it is cut off or damaged")
            yield number, message[position : position + size]
            position += size

    def messages(self, message: memoryview, number: int) -> Iterator[memoryview]:
        """Return the messages, strings or packed numbers in the fields of that number."""
        return (
            value
            for field, value in self.fields(message)
            if field == number and isinstance(value, memoryview)
        )


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return a variable-length integer, unsigned, and the position after it."""
    value = 0
    for index, byte in enumerate(data[position : position + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise MalformedError("it is cut off or damaged")


def text(value: Value) -> str:
    """Return a string field."""
    if isinstance(value, int):
        raise MalformedError("it has a number in place of a name")
    return bytes(value).decode(errors="replace")
