"""Few layers that explain a loss, found by building engines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfw_eval.pipelines.layer_explanation import explain

COSINE = 0.9


def engine(costs, calls=None):
    """What an engine reaches where layers cost so much of the cosine, each by itself."""

    def cosine_without(layers):
        if calls is not None:
            calls.append(layers)
        return 1 - sum(cost for layer, cost in costs.items() if layer not in layers)

    return cosine_without


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.floats(0.05, 1), st.randoms())
def test_the_share_is_given_back_and_every_layer_is_needed(weights, share, random):
    costs = {f"layer{n}": 0.1 * w / sum(weights) for n, w in enumerate(weights)}
    order = list(costs)
    random.shuffle(order)
    calls = []
    found = explain([(name,) for name in order], COSINE, share, engine(costs, calls))
    assert found.reached or found.given_back == pytest.approx(share)
    wanted = COSINE + share * (1 - COSINE)
    for layer in found.layers:
        rest = set(found.layers) - {layer}
        assert not rest or engine(costs)(rest) < wanted
    assert len(calls) == len(set(calls)) == found.engines


def test_a_culprit_that_is_ranked_third():
    costs = {"a": 0.001, "b": 0.001, "c": 0.09, "d": 0.008}
    found = explain([("a",), ("b",), ("c",), ("d",)], COSINE, 0.8, engine(costs))
    assert found.layers == ("c",)
    assert found.given_back == pytest.approx(0.9)


def test_layers_of_a_group_go_together():
    def cosine_without(layers):
        return 0.99 if {"a", "b"} <= layers else COSINE

    found = explain([("x",), ("a", "b"), ("y",)], COSINE, 0.5, cosine_without)
    assert found.layers == ("a", "b")


def test_all_layers_where_even_they_give_back_less():
    found = explain([("a",), ("b",)], COSINE, 0.9, lambda layers: 0.95)
    assert found.layers == ("a", "b")
    assert not found.reached
    assert found.given_back == pytest.approx(0.5)


def test_nothing_lost_needs_no_explanation():
    assert explain([("a",)], 1 - 1e-8, 0.5, engine({})) is None
