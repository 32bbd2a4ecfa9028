"""What workers are: items in, rows out, in order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

Row = dict[str, Any]
"""What travels between processes: numbers, strings, lists of them, and NumPy arrays."""
Work = Callable[[Row], Iterable[Row]]
"""Turns an item into rows, which may come one by one."""

Value = TypeVar("Value")
_Opened = TypeVar("_Opened", covariant=True)


class Openable(Protocol[_Opened]):
    """Something that is opened differently in this process and over workers in others."""

    def local(self) -> _Opened:
        """Open it in this process."""

    def distributed(self, workers: "Workers") -> _Opened:
        """Open it over workers in other processes."""


class Workers(ABC):
    """Run work of any size in parts, wherever they are.

    `gpus` are the numbers of the GPUs that each worker runs on.
    """

    @abstractmethod
    def map(
        self,
        items: Sequence[Row],
        worker: Callable[..., Work],
        *arguments: object,
        gpus: tuple[int, ...] = (),
        prepare: Callable[[Row], Row] | None = None,
    ) -> Iterator[Row]:
        """Yield the rows of `worker(*arguments)(item)` of every item, in order.

        Args:
            items: Small; they name their data.
            worker: A class, instantiated once by every worker, and closed after the last item if
                it is `Closing`; a process that ends frees what it holds anyway.
            arguments: Of that class.
            gpus: What each worker runs on.
            prepare: Applied to an item before `worker` gets it.

        Raises:
            UserError: A worker raised it, or there is none.
        """

    @abstractmethod
    def call(
        self, function: Callable[..., Value], *arguments: object, gpus: tuple[int, ...] = ()
    ) -> Value:
        """Return `function(*arguments)`, called where a worker would run.

        Raises:
            UserError: The function raised it, or there is no worker.
        """

    @abstractmethod
    def count(self, gpus: tuple[int, ...] = ()) -> int:
        """Return how many workers there are.

        Raises:
            UserError: There is none.
        """

    @abstractmethod
    def split(self, sequence: Sequence[Value], size: int) -> list[Sequence[Value]]:
        """Cut a sequence into items of work, of up to `size` where they go to other processes."""

    @abstractmethod
    def share(self, value: Value) -> Callable[[], Value]:
        """Put a value where every worker can read it; return a function that reads it there."""

    @abstractmethod
    def open(self, openable: Openable[Value]) -> Value:
        """Open something where the workers are."""
