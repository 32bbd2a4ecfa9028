"""Reads a pickle's data without running what else a pickle can hold: code.

A pickle is a program. This runs the few instructions that build lists, tuples, strings, numbers and
NumPy's arrays and scalars of bytes and truth values. The names of functions in it are looked up in
`pickled_functions` alone: no other can be reached. Memory is bounded by the file's size: nothing in
the file can ask for more.
"""

import pickletools
import warnings
from collections.abc import Callable
from mmap import mmap
from struct import Struct
from typing import Any

from lfw_eval.datasets.pickled_functions import (
    MalformedError,
    PickledArray,
    PickledDtype,
    PickledFunction,
    find_function,
    shown,
    text_of,
)

_MOST_INSTRUCTIONS = 10_000_000
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_RUNS_CODE = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_MARK = object()

_ONE, _TWO, _FOUR, _EIGHT = Struct("<B"), Struct("<H"), Struct("<I"), Struct("<Q")
_SIGNED = Struct("<i")


class CodeError(Exception):
    """The pickle wants to run code; the message names it."""


def read_pickle(data: bytes | mmap) -> Any:
    """Return the data of a pickle of any protocol, written by Python 2 or 3.

    Byte strings, and the strings of Python 2, come as bytes; NumPy arrays of bytes or truth values
    as `PickledArray`, their scalars as int or bool.

    Raises:
        CodeError: The pickle wants to run code.
        MalformedError: It is cut off or no such pickle.
    """
    with warnings.catch_warnings():
        # Python warns of escapes that no pickle has.
        warnings.simplefilter("error", DeprecationWarning)
        return _Reader(data).run()


class _Reader:
    def __init__(self, data: bytes | mmap) -> None:
        self._data = data
        self._place = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._made = 0

    def run(self) -> Any:
        try:
            for _ in range(_MOST_INSTRUCTIONS):
                code = self._take(1)[0]
                if code == ord("."):
                    return self.pop()
                instruction = _INSTRUCTIONS.get(code)
                if instruction is None:
                    raise self._unknown(code)
                instruction(self)
        except (LookupError, TypeError, ValueError, AttributeError, DeprecationWarning) as error:
            # Too few operands, or such of a wrong type or value.
            raise MalformedError("it is no well-formed pickle") from error
        raise MalformedError(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")

    def _unknown(self, code: int) -> Exception:
        name = _NAMES.get(code)
        if name == "INST":
            return CodeError(shown(f"{_name(self)}.{_name(self)}"))
        if name in _RUNS_CODE:
            return CodeError(f"the instruction {name}")
        if name is None:
            return MalformedError("it is no pickle")
        return MalformedError(f"it holds more than lists of images ({name})")

    # Operands within the file.

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[self._place : self._place + size])
        if len(taken) < size:
            raise MalformedError("it is cut off")
        self._place += size
        return taken

    def number(self, form: Struct) -> int:
        return int(form.unpack(self._take(form.size))[0])

    def sized(self, form: Struct) -> bytes:
        return self._take(self.number(form))

    def line(self) -> bytes:
        end = self._data.find(b"\n", self._place)
        if end < 0:
            raise MalformedError("it is cut off")
        return self._take(end + 1 - self._place)[:-1]

    # Operands on the stack.

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise IndexError
        return value

    def pop_to_mark(self) -> list[Any]:
        start = len(self._stack) - 1
        while self._stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise IndexError
        values = self._stack[start + 1 :]
        del self._stack[start:]
        return values

    def pop_tuple(self, size: int) -> None:
        self.push(tuple([self.pop() for _ in range(size)][::-1]))

    def extend(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise TypeError
        self._stack[-1].extend(values)

    def remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def remember_next(self) -> None:
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    # What other readers would execute.

    def find(self, module: str, name: str) -> None:
        known = find_function(module, name)
        if known is None:
            raise CodeError(shown(f"{module}.{name}"))
        self.push(known)

    def find_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.find(text_of(module), text_of(name))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not PickledFunction or type(arguments) is not tuple:
            raise TypeError
        made = function.call(*arguments)
        self._made += len(made) if type(made) is bytes else 0
        # One text that is encoded again and again would take more memory than the file has bytes.
        if self._made > len(self._data):
            raise MalformedError("it holds the same bytes many times")
        self.push(made)

    def build(self) -> None:
        state, value = self.pop(), self._stack[-1]
        if type(value) not in (PickledArray, PickledDtype):
            raise TypeError
        value.set_state(state)


def _int(line: bytes) -> int | bool:
    if line in (b"00", b"01"):
        return line == b"01"
    if len(line) > 20:
        raise ValueError
    return int(line.rstrip(b"L"))


def _little(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


def _string(line: bytes) -> bytes:
    if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
        raise ValueError
    return line[1:-1].decode("unicode_escape").encode("latin-1")


_INSTRUCTIONS: dict[int, Callable[[_Reader], None]] = {
    ord(code): instruction
    for code, instruction in {
        "\x80": lambda reader: reader.number(_ONE),
        "\x95": lambda reader: reader.number(_EIGHT),
        "(": lambda reader: reader.push(_MARK),
        "N": lambda reader: reader.push(None),
        "\x88": lambda reader: reader.push(True),
        "\x89": lambda reader: reader.push(False),
        "I": lambda reader: reader.push(_int(reader.line())),
        "L": lambda reader: reader.push(_int(reader.line())),
        "J": lambda reader: reader.push(reader.number(_SIGNED)),
        "K": lambda reader: reader.push(reader.number(_ONE)),
        "M": lambda reader: reader.push(reader.number(_TWO)),
        "\x8a": lambda reader: reader.push(_little(reader.sized(_ONE))),
        "S": lambda reader: reader.push(_string(reader.line())),
        "T": lambda reader: reader.push(reader.sized(_FOUR)),
        "U": lambda reader: reader.push(reader.sized(_ONE)),
        "B": lambda reader: reader.push(reader.sized(_FOUR)),
        "C": lambda reader: reader.push(reader.sized(_ONE)),
        "\x8e": lambda reader: reader.push(reader.sized(_EIGHT)),
        "\x96": lambda reader: reader.push(reader.sized(_EIGHT)),
        "V": lambda reader: reader.push(reader.line().decode("raw_unicode_escape")),
        "X": lambda reader: reader.push(reader.sized(_FOUR).decode("utf-8", "surrogatepass")),
        "\x8c": lambda reader: reader.push(reader.sized(_ONE).decode("utf-8", "surrogatepass")),
        "\x8d": lambda reader: reader.push(reader.sized(_EIGHT).decode("utf-8", "surrogatepass")),
        "]": lambda reader: reader.push([]),
        "l": lambda reader: reader.push(reader.pop_to_mark()),
        "a": lambda reader: reader.extend([reader.pop()]),
        "e": lambda reader: reader.extend(reader.pop_to_mark()),
        ")": lambda reader: reader.push(()),
        "t": lambda reader: reader.push(tuple(reader.pop_to_mark())),
        "\x85": lambda reader: reader.pop_tuple(1),
        "\x86": lambda reader: reader.pop_tuple(2),
        "\x87": lambda reader: reader.pop_tuple(3),
        "p": lambda reader: reader.remember(_int(reader.line())),
        "q": lambda reader: reader.remember(reader.number(_ONE)),
        "r": lambda reader: reader.remember(reader.number(_FOUR)),
        "\x94": lambda reader: reader.remember_next(),
        "g": lambda reader: reader.recall(_int(reader.line())),
        "h": lambda reader: reader.recall(reader.number(_ONE)),
        "j": lambda reader: reader.recall(reader.number(_FOUR)),
        "c": lambda reader: reader.find(_name(reader), _name(reader)),
        "\x93": lambda reader: reader.find_on_stack(),
        "R": lambda reader: reader.call(),
        "b": lambda reader: reader.build(),
    }.items()
}


def _name(reader: _Reader) -> str:
    return reader.line().decode("latin-1")
