"""Every kind of result has its row wherever kinds differ."""

import typing

import pytest
from evaluation_results import accuracy_result, detection_report, speed_result

from lfw_eval.gate.kinds import JUDGING
from lfw_eval.results.kinds import KINDS, AnyResult, Result, kind_of

pytest.importorskip("altair", reason="the extra report is not installed")
from lfw_eval.report.page.detection_section import REPORTS


def test_every_class_has_a_row():
    assert {kind.type for kind in KINDS.values()} == set(typing.get_args(AnyResult))
    readable = {kind.type for kind in KINDS.values() if kind.readable}
    assert readable == set(typing.get_args(Result))


@pytest.mark.parametrize("table", [JUDGING, REPORTS])
def test_tables_have_all_that_is_read(table):
    assert set(table) == set(typing.get_args(Result))


def test_kind_of():
    results = (accuracy_result(20), speed_result(9), detection_report(1, 2))
    assert [kind_of(result).name for result in results] == ["accuracy", "speed", "detection"]
