"""The values that a pickle's instructions take from the file, read without trust in it."""

from collections.abc import Iterable
from typing import Any

from lfw_eval.sources.pickled_objects import MalformedError


def text_of(value: Any) -> str:
    """Return a string; Python 2 pickles its strings as bytes."""
    if type(value) is bytes:
        return value.decode("latin-1")
    if type(value) is not str:
        raise TypeError
    return value


def printable(text: str) -> str:
    """Return text from an untrusted file in a form that is safe in a message."""
    return repr(text)[1:-1][:60]


def dictionary(items: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dictionary of pairs whose keys are strings.

    Other keys could take forever to hash (tuples of tuples) or collide (integers).

    Raises:
        MalformedError: A key is not a string.
    """
    pairs = [(key, value) for key, value in items]
    if not all(type(key) in (str, bytes) for key, _ in pairs):
        raise MalformedError("it has a dictionary whose keys are not strings")
    return dict(pairs)


def paired(values: list[Any]) -> dict[Any, Any]:
    """Return a dictionary of keys and values that alternate.

    Raises:
        MalformedError: A key is not a string.
    """
    return dictionary(zip(values[::2], values[1::2], strict=True))


def integer(line: bytes) -> int | bool:
    """Return the number, or the truth value of Python 2, that a line holds."""
    if line in (b"00", b"01"):
        return line == b"01"
    if len(line) > 20:
        raise ValueError
    return int(line.rstrip(b"L"))


def little_endian(content: bytes) -> int:
    """Return the signed number that bytes hold."""
    return int.from_bytes(content, "little", signed=True)


def quoted_string(line: bytes) -> bytes:
    """Return the string of Python 2 that a line holds, quoted and with escapes."""
    if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
        raise ValueError
    return line[1:-1].decode("unicode_escape").encode("latin-1")
