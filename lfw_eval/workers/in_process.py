"""The same work without a cluster: one worker, in this process."""

from collections.abc import Callable, Iterator, Sequence

from lfw_eval.workers.ray import Row


class InProcess:
    """Takes the place of a `Cluster`."""

    def map(
        self,
        items: Sequence[Row],
        worker: Callable[..., Callable[[Row], Row]],
        *arguments: object,
        gpus: int = 0,
        prepare: Callable[[Row], Row] | None = None,
    ) -> Iterator[Row]:
        """Yield `worker(*arguments)(item)` of every item, in order; see `Cluster.map`."""
        work = worker(*arguments)
        for item in items:
            yield work(prepare(item) if prepare else item)

    def call(self, function: Callable[..., Row], *arguments: object, gpus: int = 0) -> Row:
        """Return `function(*arguments)`; see `Cluster.call`."""
        return function(*arguments)
