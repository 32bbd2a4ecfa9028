"""What an engine really computes in, and what it may be called."""

import pytest
from evaluation_results import engine

from lfw_eval.results.codec import plain, typed
from lfw_eval.results.engine import EngineDescription
from lfw_eval.results.executed import ExecutedTypes, Work, percent
from lfw_eval.results.upgrade import upgrade

MIXED = ExecutedTypes({"int8": Work(9, 900), "float16": Work(1, 100)}, {"head": "float16"})
NONE = ExecutedTypes({"float16": Work(10, 1000)}, {"head": "float16"})


def described(precision: str, executed: ExecutedTypes | None) -> EngineDescription:
    return EngineDescription(precision, "words", "TensorRT 8.6.0", "GPU", "key", 1, executed)


def test_shares():
    assert MIXED.total == Work(10, 1000)
    assert (MIXED.share("int8"), MIXED.share("fp16"), MIXED.share("fp32")) == (0.9, 0.1, 0)
    assert MIXED.mostly("fp16") == "float16"
    assert MIXED.mostly("fp32") == "float32"
    assert ExecutedTypes({"bfloat16": Work(1, 1)}, {}).mostly("fp16") == "bfloat16"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.99999, "99.9 %"), (0.4, "40 %"), (0.00004, "0 %")],
)
def test_percent(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("precision", "executed", "title"),
    [
        ("int8", MIXED, "INT8"),
        ("int8", None, "INT8"),
        ("int8", NONE, "0 % INT8"),
        ("fp16", NONE, "FP16"),
        ("fp32", MIXED, "0 % FP32"),
        ("int8", ExecutedTypes({"int8": Work(1, 400), "float16": Work(1, 600)}, {}), "40 % INT8"),
    ],
)
def test_an_engine_is_called_what_it_is(precision, executed, title):
    assert described(precision, executed).title == title


def test_a_result_keeps_it():
    description = described("int8", MIXED)
    assert typed(EngineDescription, plain(description), "engine", {}) == description


def test_earlier_results_do_not_say():
    old = plain(engine("int8"))
    del old["executed"]
    accuracy = {"reference": {"engine": dict(old)}, "candidate": None}
    speed = {"engines": [{"engine": dict(old), "speeds": []}]}
    upgrade(4, "accuracy", accuracy)
    upgrade(4, "speed", speed)
    assert accuracy["reference"]["engine"]["executed"] is None
    assert speed["engines"][0]["engine"]["executed"] is None
