"""Work in processes that have arguments of their own."""

import pytest
from process_workers import Mistaken, Multiplier, Surroundings

from lfw_eval.system.errors import UserError
from lfw_eval.workers import unlike_processes
from lfw_eval.workers.unlike_processes import through_processes

pytestmark = pytest.mark.slow


def test_rows_come_in_order_from_every_process():
    items = [{"stop": stop} for stop in [3, 1, 2, 0] * 10]
    rows = list(through_processes(items, Multiplier, [(10,), (100,)]))
    expected = [number for item in items for number in range(item["stop"])]
    assert [row["number"] for row in rows] == expected
    factor_of = {row["pid"]: row["values"][0, 0] // stop_of(row) for row in rows}
    assert sorted(factor_of.values()) == [10, 100]


def stop_of(row: dict) -> int:
    """The values are the item's number of rows, 1 to 3, times 10 or 100."""
    return int(str(row["values"][0, 0])[0])


def test_a_mistake_ends_all_processes():
    items = [{"kind": "user"}, {"kind": "user"}]
    with pytest.raises(UserError, match="a mistake"):
        list(through_processes(items, Mistaken, [(), ()]))
    with pytest.raises(UserError, match="killed by SIGKILL"):
        list(through_processes([{"kind": "killed"}], Mistaken, [()]))


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(unlike_processes, "core_count", lambda: 6)
    (row,) = through_processes([{}], Surroundings, [(), ()])
    assert row["threads"] == "3"
