"""A network that knows people by the colour that it calls the first channel, as -1 to 1."""

import numpy as np
import onnx
import pytest

from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.preprocessing import Preprocessing
from lfw_eval.pipelines.normalisation_trial import PUBLISHED, common_ways, try_ways

COUNT, SIDE = 40, 32
ALL = common_ways()


def network(channel: int = 0, weight: float = 1.0) -> onnx.ModelProto:
    """It saturates outside of -1 to 1, and sees nothing but one channel."""
    graph = GraphBuilder("reader")
    kernel = np.zeros((1, 3, 1, 1), np.float32)
    kernel[0, channel] = weight
    x = graph.convolution("input", "read", kernel)
    limits = [graph.constant(n, np.array(v, np.float32)) for n, v in (("low", -1), ("high", 1))]
    x = graph.node("Clip", [x, *limits], "clipped")
    x = graph.node("AveragePool", [x], "cells", kernel_shape=[4, 4], strides=[4, 4])
    x = graph.node("Flatten", [x], "embedding")
    return graph.model({"input": ["batch", 3, SIDE, SIDE]}, {x: ["batch", 64]})


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    """Two pictures of each person, whose red cells are theirs; all else is chance."""
    rng = np.random.default_rng(4)

    def picture(red: np.ndarray) -> np.ndarray:
        cells = rng.integers(0, 256, (COUNT, 8, 8, 3))
        cells[..., 0] = np.clip(red + rng.normal(0, 25, red.shape), 0, 255)
        return cells.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)

    red = rng.integers(0, 256, (COUNT, 8, 8))
    return picture(red), picture(red)


def tried(model, faces):
    return try_ways(model, *faces, ~np.eye(COUNT, dtype=bool), ALL)


@pytest.mark.parametrize(("channel", "order"), [(0, "rgb"), (2, "bgr")])
def test_finds_range_and_order_of_channels(faces, channel, order):
    trial = tried(network(channel), faces)
    assert trial.recognises
    assert (trial.genuine, trial.impostors) == (COUNT, COUNT * (COUNT - 1))
    assert {Preprocessing("fixed", order), Preprocessing("arcface", order)} <= set(trial.best)
    assert {way.channel_order for way in trial.best} == {order}
    assert "none" not in {way.normalisation for way in trial.best}
    first, *rest = trial.tried
    assert (first.behind, first.worse) == (0, False)
    assert all(a.separation >= b.separation for a, b in zip(trial.tried, rest, strict=False))
    assert {row.way for row in trial.tried} == set(ALL)


def test_nothing_is_likely_of_a_network_that_recognises_nobody(faces):
    trial = tried(network(channel=1), faces)
    assert not trial.recognises
    assert trial.best == ()


def test_embeddings_that_cannot_be_compared(faces):
    trial = tried(network(weight=0), faces)
    assert len(trial.tried) == len(ALL)
    assert trial.tried[0].auc is None
    assert trial.best == ()


def test_some_embeddings_that_cannot_be_compared(faces):
    """From 0 up, all cells of bright pictures saturate: every embedding is the same."""
    left, right = (np.maximum(crops, 1) for crops in faces)
    trial = tried(network(), (left, right))
    assert trial.recognises
    assert trial.tried[-1].way.normalisation == "none"
    assert trial.tried[-1].separation is None
    assert trial.tried[-1].worse


def test_published_values_are_in_the_order_of_the_channels():
    rgb, bgr = (way for way, name in PUBLISHED.items() if name == "ImageNet")
    assert (rgb.channel_order, bgr.channel_order) == ("rgb", "bgr")
    assert rgb.mean_and_std == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert bgr.mean_and_std == tuple(values[::-1] for values in rgb.mean_and_std)
