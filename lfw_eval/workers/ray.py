"""Work on a Ray cluster: items in, rows out in order, whatever dies in between."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Openable, Row, Value, Work, Workers
from lfw_eval.workers.ray_cluster import RayCluster
from lfw_eval.workers.ray_task import Actor, Place, Preparation, checked, reporting, result


@dataclass(frozen=True)
class RayWorkers(Workers):
    """The workers of a Ray cluster, as many as it has room for.

    All nodes need this package, and the working folder, data sets, checkpoints and outputs under
    the same paths, as on a shared file system.

    Attributes:
        cores: CPU cores of a worker.
    """

    cluster: RayCluster = field(default_factory=RayCluster)
    cores: int = 4

    def map(
        self,
        items: Sequence[Row],
        worker: Callable[..., Work],
        *arguments: object,
        gpus: tuple[int, ...] = (),
        prepare: Callable[[Row], Row] | None = None,
    ) -> Iterator[Row]:
        """Yield the rows of every item, in order.

        Workers are actors. One that dies, alone or with its node, is restarted where there is room,
        and only the item that it was processing is repeated. Items for a worker with a GPU, which
        is a thousand times as fast as a core, are prepared by cores anywhere; other workers prepare
        their own.

        Raises:
            UserError: A worker raised it, or the cluster is unavailable or too small.
        """
        if not items:
            return
        ray = self.cluster.join()
        count, cores = self._room(ray, gpus)
        _quieten(ray.data)
        place = Place.here()
        rows = ray.data.from_items(list(items), override_num_blocks=len(items))
        if prepare and gpus:
            rows = rows.map(Preparation(prepare, place).__call__, num_cpus=1)
            prepare = None
        rows = rows.flat_map(
            Actor,
            fn_constructor_args=(partial(_preparing, prepare, worker), arguments, place),
            compute=_pool(ray.data, min(count, len(items))),
            num_cpus=cores,
            num_gpus=len(gpus),
        )
        with self.cluster.failures(ray):
            yield from map(checked, rows.iter_rows())

    def call(
        self, function: Callable[..., Value], *arguments: object, gpus: tuple[int, ...] = ()
    ) -> Value:
        """Return `function(*arguments)`, called on a node that has room for a worker.

        Raises:
            UserError: The function raised it, or the cluster is unavailable or too small.
        """
        ray = self.cluster.join()
        _, cores = self._room(ray, gpus)
        task = ray.remote(reporting(function, Place.here()))
        task = task.options(num_cpus=cores, num_gpus=len(gpus), max_retries=3)
        with self.cluster.failures(ray):
            returned: Value = result(ray.get(task.remote(*arguments)))
            return returned

    def count(self, gpus: tuple[int, ...] = ()) -> int:
        """Return how many workers the cluster has room for.

        Raises:
            UserError: It is unavailable, or has no room for a worker.
        """
        return self._room(self.cluster.join(), gpus)[0]

    def split(self, sequence: Sequence[Value], size: int) -> list[Sequence[Value]]:
        """Cut a sequence into items of up to `size`."""
        return [sequence[start : start + size] for start in range(0, len(sequence), size)]

    def share(self, value: Value) -> Callable[[], Value]:
        """Put a value into the cluster's memory, once per node; an array is read in place."""
        return partial(_shared, self.cluster.join().put(value))

    def open(self, openable: Openable[Value]) -> Value:
        """Open something over the workers."""
        return openable.distributed(self)

    def _room(self, ray: Any, gpus: tuple[int, ...]) -> tuple[int, int]:
        if gpus not in ((), (0,)):
            raise UserError(
                "`gpu` does not go with `ray`, which gives each worker a GPU of its own"
            )
        return self.cluster.room(ray, self.cores, len(gpus))


def _preparing(
    prepare: Callable[[Row], Row] | None, worker: Callable[..., Work], *arguments: object
) -> Work:
    """Return a worker that prepares its own items, if there is anything to prepare."""
    work = worker(*arguments)
    return (lambda item: work(prepare(item))) if prepare else work


def _shared(reference: Any) -> Any:
    import ray

    return ray.get(reference)


def _pool(data: Any, count: int) -> Any:
    return data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count)


def _quieten(data: Any) -> None:
    context = data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
