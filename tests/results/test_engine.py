import pytest

from lfw_eval.results.engine import ModelDescription


@pytest.mark.parametrize(
    ("own", "words"),
    [(None, "none"), ("(x - 127.5) / 128", "none (the graph's own: (x - 127.5) / 128)")],
)
def test_how_the_input_is_normalised(own, words):
    assert ModelDescription("net", "a", "b", "none", own_normalisation=own).normalised == words
