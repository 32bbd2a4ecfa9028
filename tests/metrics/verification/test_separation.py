import numpy as np
import pytest

from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.separation import p_value, separation


def by_definition(distances: np.ndarray, impostor: np.ndarray) -> float:
    others = distances[impostor]
    return (others.mean() - np.diagonal(distances).mean()) / others.std()


@pytest.fixture(scope="module")
def distances() -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform(1, 2, (12, 12)) - np.diag(rng.uniform(0.2, 1, 12))


@pytest.fixture(scope="module")
def impostor() -> np.ndarray:
    """Two pairs of each of six people."""
    person = np.arange(12) % 6
    return person[:, None] != person


def test_value_and_jackknife(distances, impostor):
    judged = separation(distances, impostor)
    whole = by_definition(distances, impostor)
    assert judged.value == pytest.approx(whole)
    for left_out in range(12):
        rest = np.delete(np.arange(12), left_out)
        without = by_definition(distances[np.ix_(rest, rest)], impostor[np.ix_(rest, rest)])
        assert judged.pseudo_values[left_out] == pytest.approx(12 * whole - 11 * without)


def test_scale_and_offset_do_not_count(distances, impostor):
    other = separation(3 * distances + 1, impostor)
    lead = other.lead_over(separation(distances, impostor))
    assert abs(lead.value) < 1e-9


def test_lead_is_paired():
    """What all ways share, such as a hard pair, does not count against a difference."""
    rng = np.random.default_rng(2)
    impostor = ~np.eye(40, dtype=bool)
    hard = np.diag(rng.normal(0, 0.3, 40))
    near = rng.uniform(1, 2, (40, 40)) + hard - np.eye(40)
    far = near + 0.05 * np.eye(40)
    lead = separation(near, impostor).lead_over(separation(far, impostor))
    assert lead.value == pytest.approx(0.05 / near[impostor].std())
    assert p_value(lead) < 1e-6
    again = separation(rng.uniform(1, 2, (40, 40)) - np.eye(40), impostor)
    unpaired = separation(near, impostor).lead_over(again)
    assert unpaired.standard_error > 10 * lead.standard_error


@pytest.mark.parametrize(("value", "error", "p"), [(0, 0, 1), (1.96, 1, 0.05), (1, 0, 0)])
def test_p_value(value, error, p):
    assert p_value(Metric(value, 9, error, True)) == pytest.approx(p, abs=1e-3)
