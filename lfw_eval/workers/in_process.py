"""Work in this process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from lfw_eval.system.closing import Closing
from lfw_eval.workers.contract import Openable, Row, Value, Work, Workers


@dataclass(frozen=True)
class InProcess(Workers):
    """A single worker, whose rows are yielded as it makes them."""

    def map(
        self,
        items: Sequence[Row],
        worker: Callable[..., Work],
        *arguments: object,
        gpus: tuple[int, ...] = (),
        prepare: Callable[[Row], Row] | None = None,
    ) -> Iterator[Row]:
        """Yield the rows of every item, in order."""
        if not items:
            return
        work = worker(*arguments)
        with work if isinstance(work, Closing) else nullcontext():
            for item in items:
                yield from work(prepare(item) if prepare else item)

    def call(
        self, function: Callable[..., Value], *arguments: object, gpus: tuple[int, ...] = ()
    ) -> Value:
        """Return `function(*arguments)`."""
        return function(*arguments)

    def count(self, gpus: tuple[int, ...] = ()) -> int:
        """Return 1."""
        return 1

    def split(self, sequence: Sequence[Value], size: int) -> list[Sequence[Value]]:
        """Return the whole sequence as a single item, to be read from end to end once."""
        return [sequence] if sequence else []

    def share(self, value: Value) -> Callable[[], Value]:
        """Return a function that returns the value."""
        return lambda: value

    def open(self, openable: Openable[Value]) -> Value:
        """Open something in this process."""
        return openable.local()


HERE = InProcess()
