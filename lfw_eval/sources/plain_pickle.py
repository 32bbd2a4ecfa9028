"""Read a pickle's data without running what else a pickle can hold: code.

A pickle is a program. The reader runs the few instructions that build lists, tuples, dictionaries,
strings and numbers. The names of functions and classes are looked up in a table that the caller
gives: no other can be reached. Time and memory are bounded by the file's size and by a number of
instructions.
"""

import pickletools
import warnings
from collections.abc import Callable, Mapping
from mmap import mmap
from struct import Struct
from typing import Any

from lfw_eval.sources.pickle_operands import (
    integer,
    little_endian,
    paired,
    printable,
    quoted_string,
    text_of,
)
from lfw_eval.sources.pickled_objects import (
    CodeError,
    MalformedError,
    PickledFunction,
    PickledObject,
)

_MAX_INSTRUCTIONS = 4_000_000
_OPCODES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_CODE_OPCODES = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_MARK = object()

_UINT8, _UINT16, _UINT32, _UINT64 = Struct("<B"), Struct("<H"), Struct("<I"), Struct("<Q")
_INT32, _FLOAT64 = Struct("<i"), Struct(">d")


def _no_persistent_ids(_: Any) -> Any:
    raise MalformedError("it refers to data outside the pickle")


class _Machine:
    """What the instructions do: they take operands from the file and from a stack."""

    def __init__(
        self,
        data: bytes | mmap,
        names: Mapping[tuple[str, str], Any],
        persistent_load: Callable[[Any], Any] = _no_persistent_ids,
    ) -> None:
        self._data = data
        self._names = names
        self._persistent_load = persistent_load
        self._position = 0
        self._argument_size = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    # Operands within the file.

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            MalformedError: Fewer are left.
        """
        if not 0 <= size <= len(self._data) - self._position:
            raise MalformedError("it is cut off")
        self._position += size
        return bytes(self._data[self._position - size : self._position])

    def number(self, form: Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def sized(self, form: Struct) -> bytes:
        return self.take(self.number(form))

    def text(self, form: Struct) -> str:
        return self.sized(form).decode("utf-8", "surrogatepass")

    def line(self) -> bytes:
        end = self._data.find(b"\n", self._position)
        if end < 0:
            raise MalformedError("it is cut off")
        return self.take(end + 1 - self._position)[:-1]

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

    def set_items(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not dict:
            raise TypeError
        self._stack[-1].update(paired(values))

    def remember(self, index: int) -> None:
        value = self._stack[-1]
        # No pickler writes such an index, and Python's reader would allocate a table up to it.
        if index > len(self._data):
            raise MalformedError("it numbers its values beyond its size")
        self._memo[index] = value

    def remember_next(self) -> None:
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    # What other readers would execute.

    def find(self, module: str, name: str) -> None:
        if (module, name) not in self._names:
            raise CodeError(printable(f"{module}.{name}"))
        self.push(self._names[module, name])

    def find_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.find(text_of(module), text_of(name))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not PickledFunction or type(arguments) is not tuple:
            raise TypeError
        self._count(arguments)
        self.push(function.call(*arguments))

    def build(self) -> None:
        state, value = self.pop(), self._stack[-1]
        if isinstance(value, PickledObject):
            value.set_state(state)
        # A dictionary's attributes, such as PyTorch's `_metadata`, are not data.
        elif type(value) is not dict:
            raise TypeError

    def load_persistent(self) -> None:
        persistent_id = self.pop()
        if type(persistent_id) is not tuple:
            raise TypeError
        self._count(persistent_id)
        self.push(self._persistent_load(persistent_id))

    def _count(self, arguments: tuple[Any, ...]) -> None:
        """Refuse to pass the same values again and again: more is made of them than the file has.

        A pickle that was written takes more bytes for a call than its arguments have.
        """
        sized = (len(value) for value in arguments if type(value) in (str, bytes, list))
        self._argument_size += len(arguments) + sum(sized)
        if self._argument_size > len(self._data):
            raise MalformedError("it holds the same values many times")


def _name(machine: _Machine) -> str:
    return machine.line().decode("latin-1")


_INSTRUCTIONS: dict[int, Callable[[_Machine], None]] = {
    ord(code): instruction
    for code, instruction in {
        "\x80": lambda machine: machine.number(_UINT8),
        "\x95": lambda machine: machine.number(_UINT64),
        "(": lambda machine: machine.push(_MARK),
        "N": lambda machine: machine.push(None),
        "\x88": lambda machine: machine.push(True),
        "\x89": lambda machine: machine.push(False),
        "I": lambda machine: machine.push(integer(machine.line())),
        "L": lambda machine: machine.push(integer(machine.line())),
        "J": lambda machine: machine.push(machine.number(_INT32)),
        "K": lambda machine: machine.push(machine.number(_UINT8)),
        "M": lambda machine: machine.push(machine.number(_UINT16)),
        "\x8a": lambda machine: machine.push(little_endian(machine.sized(_UINT8))),
        "G": lambda machine: machine.push(machine.number(_FLOAT64)),
        "F": lambda machine: machine.push(float(machine.line())),
        "S": lambda machine: machine.push(quoted_string(machine.line())),
        "T": lambda machine: machine.push(machine.sized(_UINT32)),
        "U": lambda machine: machine.push(machine.sized(_UINT8)),
        "B": lambda machine: machine.push(machine.sized(_UINT32)),
        "C": lambda machine: machine.push(machine.sized(_UINT8)),
        "\x8e": lambda machine: machine.push(machine.sized(_UINT64)),
        "\x96": lambda machine: machine.push(machine.sized(_UINT64)),
        "V": lambda machine: machine.push(machine.line().decode("raw_unicode_escape")),
        "X": lambda machine: machine.push(machine.text(_UINT32)),
        "\x8c": lambda machine: machine.push(machine.text(_UINT8)),
        "\x8d": lambda machine: machine.push(machine.text(_UINT64)),
        "]": lambda machine: machine.push([]),
        "l": lambda machine: machine.push(machine.pop_to_mark()),
        "a": lambda machine: machine.extend([machine.pop()]),
        "e": lambda machine: machine.extend(machine.pop_to_mark()),
        ")": lambda machine: machine.push(()),
        "t": lambda machine: machine.push(tuple(machine.pop_to_mark())),
        "\x85": lambda machine: machine.pop_tuple(1),
        "\x86": lambda machine: machine.pop_tuple(2),
        "\x87": lambda machine: machine.pop_tuple(3),
        "}": lambda machine: machine.push({}),
        "s": lambda machine: machine.set_items([machine.pop(), machine.pop()][::-1]),
        "u": lambda machine: machine.set_items(machine.pop_to_mark()),
        "d": lambda machine: machine.push(paired(machine.pop_to_mark())),
        "p": lambda machine: machine.remember(integer(machine.line())),
        "q": lambda machine: machine.remember(machine.number(_UINT8)),
        "r": lambda machine: machine.remember(machine.number(_UINT32)),
        "\x94": lambda machine: machine.remember_next(),
        "g": lambda machine: machine.recall(integer(machine.line())),
        "h": lambda machine: machine.recall(machine.number(_UINT8)),
        "j": lambda machine: machine.recall(machine.number(_UINT32)),
        "c": lambda machine: machine.find(_name(machine), _name(machine)),
        "\x93": lambda machine: machine.find_on_stack(),
        "R": lambda machine: machine.call(),
        "b": lambda machine: machine.build(),
        "Q": lambda machine: machine.load_persistent(),
    }.items()
}


class PickleReader(_Machine):
    """Reads pickles of any protocol, written by Python 2 or 3, one after the other.

    Byte strings, and the strings of Python 2, come as bytes.

    Args:
        data: The pickles, and what follows them.
        names: What a module and a name in it stand for: a `PickledFunction`, or a plain value.
        persistent_load: Returns the data of a persistent id.
    """

    _instructions = 0

    def load(self) -> Any:
        """Return the data of the next pickle.

        Raises:
            CodeError: The pickle wants to run code.
            MalformedError: It is truncated or not a pickle of plain data.
        """
        self._stack, self._memo = [], {}
        try:
            with warnings.catch_warnings():
                # Python warns of escapes that no pickle has.
                warnings.simplefilter("error", DeprecationWarning)
                return self._run()
        except (LookupError, TypeError, ValueError, AttributeError, DeprecationWarning) as error:
            # Too few operands, or operands of a wrong type or value.
            raise MalformedError("it is not a well-formed pickle") from error

    def _run(self) -> Any:
        while self._instructions < _MAX_INSTRUCTIONS:
            self._instructions += 1
            code = self.take(1)[0]
            if code == ord("."):
                return self.pop()
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise self._unsupported(code)
            instruction(self)
        raise MalformedError(f"it has more than {_MAX_INSTRUCTIONS:,} instructions")

    def _unsupported(self, code: int) -> Exception:
        name = _OPCODES.get(code)
        if name == "INST":
            return CodeError(printable(f"{_name(self)}.{_name(self)}"))
        if name in _CODE_OPCODES:
            return CodeError(f"the instruction {name}")
        if name is None:
            return MalformedError("it is not a pickle")
        return MalformedError(f"it holds more than plain data ({name})")
