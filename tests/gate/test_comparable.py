"""What a gate says of two results that differ in how they were made."""

from dataclasses import replace

from evaluation_results import accuracy_result

from lfw_eval.gate.judge import judge
from lfw_eval.gate.rules import DEFAULT
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.engine import DUMMY


def notes(candidate: AccuracyResult, baseline: AccuracyResult) -> tuple[str, ...]:
    return judge(candidate, baseline, DEFAULT, ("new.json", "old.json")).notes


def test_normalisation_and_batch_size_are_named():
    result = accuracy_result(200)
    assert result.candidate
    changed = replace(
        result,
        model=replace(result.model, normalisation="fixed"),
        candidate=replace(result.candidate, batch_size=7),
    )
    before = result.model.normalisation
    said = set(notes(changed, result)) - set(notes(result, result))
    assert said == {f"*** normalisation: {before} → fixed ***", "batch size: 64 → 7"}


def test_the_dummy_engine_is_named():
    result = accuracy_result(200)
    assert result.candidate
    engine = replace(result.candidate.engine, runtime="dummy 1")
    dummy = replace(result, candidate=replace(result.candidate, engine=engine))
    assert f"*** {DUMMY} ***" in notes(dummy, result)
    assert f"*** {DUMMY} ***" in notes(result, dummy)
