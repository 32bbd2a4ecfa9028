import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.quantize import QdqTypes
from calibration.refinement.contract import Candidate
from calibration.refinement.measure import SIGNED, Measure
from calibration.refinement.ranges import calibrated
from calibration.refinement.scale_search import ScaleSearch, search


@pytest.fixture(scope="module")
def candidate(network: onnx.ModelProto, images: NDArray[np.float32]) -> Candidate:
    return Candidate(network, calibrated(network, images))


def scaled(candidate: Candidate, factor: float) -> Candidate:
    amax = {name: value * factor for name, value in candidate.amax.items()}
    return Candidate(candidate.model, amax)


@pytest.mark.parametrize("types", [SIGNED, QdqTypes(unsigned=True)], ids=["signed", "unsigned"])
@pytest.mark.parametrize("factor", [1 / 2, 10])
def test_raises_the_cosine_from_thresholds_too_low_and_too_high(candidate, images, factor, types):
    start = scaled(candidate, factor)
    refined = ScaleSearch(types)(start, candidate.model, images)
    measure = Measure(candidate.model, images, types)
    before, after = measure.int8(start), measure.int8(refined)
    assert 1 - after.cosine < (1 - before.cosine) / 2
    assert refined.model is start.model


def test_costs_fall_and_add_up_to_that_of_the_network(candidate, images):
    choices = search(candidate, images, SIGNED)
    assert all(choice.cost <= choice.cost_before for choice in choices)
    assert any(choice.cost < choice.cost_before for choice in choices)
    assert all((c.amax == c.before) == (c.cost == c.cost_before) for c in choices)
    whole = 1 - Measure(candidate.model, images).int8(candidate).cosine
    assert sum(choice.cost_before for choice in choices) == pytest.approx(whole, rel=0.5)


def test_is_the_same_again_and_ends_where_it_would_stay(candidate, images):
    first, second = (search(candidate, images, SIGNED) for _ in range(2))
    assert [vars(choice) for choice in first] == [vars(choice) for choice in second]
    chosen = {name: choice.amax for choice in first for name in choice.tensors}
    ended = Candidate(candidate.model, {**candidate.amax, **chosen})
    moved = [c for c in search(ended, images, SIGNED) if c.amax != c.before]
    assert len(moved) < len(first) / 4


def test_tensors_of_one_scale_move_together(candidate, images):
    refined = ScaleSearch()(candidate, candidate.model, images)
    shared = [c.tensors for c in search(candidate, images, SIGNED) if len(c.tensors) > 1]
    assert shared
    for tensors in shared:
        assert len({refined.amax[name] for name in tensors}) == 1


def test_is_another_step_for_other_types():
    assert ScaleSearch().recipe != ScaleSearch(QdqTypes(unsigned=True)).recipe


def test_leaves_tensors_alone_that_have_no_threshold_or_are_always_zero(candidate, images):
    (first, *_, last) = [choice.tensors[0] for choice in search(candidate, images, SIGNED)]
    amax = dict(candidate.amax)
    amax[first] = 0.0
    refined = ScaleSearch()(Candidate(candidate.model, amax), candidate.model, images)
    assert refined.amax[first] == 0
    assert refined.amax.keys() == candidate.amax.keys()
    assert last in refined.amax
