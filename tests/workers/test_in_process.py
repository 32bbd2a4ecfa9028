"""Work done in this process: in order, row by row."""

import pytest

from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Openable
from lfw_eval.workers.in_process import HERE


class Counter:
    """A worker: a row for each number below the item's."""

    instances = 0

    def __init__(self, factor: int) -> None:
        Counter.instances += 1
        self._factor = factor

    def __call__(self, item):
        for number in range(item["stop"]):
            if number == 3:
                raise UserError("3 is too many")
            yield {"value": number * self._factor}


def test_rows_come_as_they_are_made():
    """Those before a mistake too: what a long item finished counts."""
    rows = HERE.map([{"stop": 2}, {"stop": 9}], Counter, 10)
    assert [next(rows)["value"] for _ in range(5)] == [0, 10, 0, 10, 20]
    with pytest.raises(UserError, match=r"^3 is too many$"):
        next(rows)


def test_one_worker_for_all_items_and_none_for_none():
    Counter.instances = 0
    assert list(HERE.map([], Counter, 1)) == []
    assert Counter.instances == 0
    list(HERE.map([{"stop": 1}] * 5, Counter, 1))
    assert Counter.instances == 1


def test_items_are_prepared_one_by_one():
    prepared = []

    def prepare(item):
        prepared.append(item["stop"])
        return {"stop": 1}

    rows = HERE.map([{"stop": 7}, {"stop": 8}], Counter, 1, prepare=prepare)
    next(rows)
    assert prepared == [7]
    assert len(list(rows)) == 1
    assert prepared == [7, 8]


def test_nothing_is_cut():
    assert HERE.split(range(100), 8) == [range(100)]
    assert HERE.split([], 8) == []
    assert HERE.count((0, 1)) == 1


def test_values_and_calls_stay_here():
    value = object()
    assert HERE.share(value)() is value
    assert HERE.call(divmod, 7, 2) == (3, 1)


def test_what_is_opened_is_opened_here():
    class Door(Openable[str]):
        def local(self):
            return "local"

        def distributed(self, workers):
            raise AssertionError

    assert HERE.open(Door()) == "local"
