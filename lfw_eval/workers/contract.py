"""What workers are: items in, rows out, in their order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

Row = dict[str, Any]
"""What travels between processes: numbers, strings, lists of them, and NumPy arrays."""
Work = Callable[[Row], Iterable[Row]]
"""An item to rows, which may come one by one."""

Value = TypeVar("Value")
_Opened = TypeVar("_Opened", covariant=True)


class Openable(Protocol[_Opened]):
    """What is opened in one way in this process, and in another over workers elsewhere."""

    def local(self) -> _Opened:
        """Open it in this process."""

    def distributed(self, workers: "Workers") -> _Opened:
        """Open it over workers in other processes."""


class Workers(ABC):
    """Do work of any size in parts; where, is their business.

    Numbers of GPUs say what each worker runs on.
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
            items: Small: they name their data.
            worker: A class; every worker makes one of it.
            arguments: Of every worker.
            gpus: What a worker runs on.
            prepare: What is done to an item before `worker` gets it.

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
        """Put a value where every worker can read it; return what reads it there."""

    @abstractmethod
    def open(self, openable: Openable[Value]) -> Value:
        """Open something where the workers are."""
