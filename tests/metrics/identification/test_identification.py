"""1:N identification: search, CMC, TPIR at FPIR and the enrolment, each by brute force."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lfw_eval.metrics.identification import search as search_module
from lfw_eval.metrics.identification.cmc import cmc, mate_ranks
from lfw_eval.metrics.identification.comparison import compare_rank1, compare_tpir
from lfw_eval.metrics.identification.enrolment import enrol_first_images, read_enrolment
from lfw_eval.metrics.identification.faiss_search import RECALL, faiss_search, nearest_recall
from lfw_eval.metrics.identification.open_set import tpir_at
from lfw_eval.metrics.identification.outcome import evaluate_search
from lfw_eval.metrics.identification.search import Candidates, measured, search
from lfw_eval.system.errors import UserError

NAMES = ("Ann_0001", "Ann_0002", "Ann_0003", "Bo_0001", "Cy_0001", "Cy_0002")


def unit(rng, count, dimensions=16):
    rows = rng.standard_normal((count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# Search


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_search_is_a_sort_of_all_distances_whatever_the_blocks(images, looked_for, data):
    rng = np.random.default_rng(images * 41 + looked_for)
    gallery, probes = unit(rng, images), unit(rng, looked_for)
    depth = data.draw(st.integers(1, images))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search_module, "_GALLERY", data.draw(st.integers(1, 64)))
        patched.setattr(search_module, "_PROBES", data.draw(st.integers(1, 16)))
        patched.setattr(search_module, "_MEASURED", data.draw(st.integers(1, 2000)))
        neighbours = search(gallery, probes, depth)
    distances = np.sum(np.square(gallery[None] - probes[:, None], dtype=np.float64), axis=2)
    # Distances that differ by less than float32 tells may be exchanged.
    assert neighbours.distances == pytest.approx(np.sort(distances, axis=1)[:, :depth], abs=1e-6)
    assert np.take_along_axis(distances, neighbours.rows, axis=1) == pytest.approx(
        neighbours.distances, abs=1e-6
    )
    assert all(len(set(rows)) == depth for rows in neighbours.rows.tolist())
    assert neighbours.distances.dtype == np.float32


def test_ties_are_ordered_by_the_gallery():
    rng = np.random.default_rng(0)
    few = unit(rng, 7)
    gallery = np.tile(few, (50, 1))
    neighbours = search(gallery, few, 50)
    assert np.array_equal(neighbours.rows % 7, np.repeat(np.arange(7), 50).reshape(7, 50))
    assert np.all(np.diff(neighbours.rows, axis=1) > 0)
    assert np.all(neighbours.distances == neighbours.distances[:, :1])


def test_a_broken_engine_whose_embeddings_are_all_the_same_is_searched():
    same = np.tile(unit(np.random.default_rng(0), 1), (500, 1))
    assert np.all(search(same, same[:3], 5).distances == 0)


def test_faiss_finds_the_nearest():
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    rng = np.random.default_rng(0)
    people = unit(rng, 2000, 64)
    gallery = people + 0.05 * rng.standard_normal(people.shape).astype(np.float32)
    probes = people[:300] + 0.05 * rng.standard_normal((300, 64)).astype(np.float32)
    gallery, probes = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (gallery, probes))
    exact, approximate = search(gallery, probes, 10), faiss_search(gallery, probes, 10)
    recall = nearest_recall(gallery, probes, approximate)
    same = exact.rows[:, 0] == approximate.rows[:, 0]
    assert recall == np.mean(same[1::2])
    assert np.mean(same[::2]) >= RECALL
    assert recall > 0.95
    assert np.all(approximate.distances >= exact.distances)


def test_recall_counts_what_was_missed():
    rng = np.random.default_rng(0)
    gallery, probes = unit(rng, 50), unit(rng, 20)
    neighbours = search(gallery, probes, 2)
    assert nearest_recall(gallery, probes, neighbours) == 1
    rows, distances = neighbours.rows.copy(), neighbours.distances.copy()
    rows[:5, :1], distances[:5, :1] = neighbours.rows[:5, 1:], neighbours.distances[:5, 1:]
    # Probes 1 and 3 are among those asked.
    assert nearest_recall(gallery, probes, Candidates(rows, distances)) == 0.8


def test_an_approximate_search_may_find_fewer():
    rng = np.random.default_rng(0)
    gallery, probes = unit(rng, 5), unit(rng, 2)
    neighbours = measured(gallery, probes, np.array([[-1, 3, -1], [-1, -1, -1]]))
    assert neighbours.rows.tolist() == [[3, -1, -1], [-1, -1, -1]]
    assert np.isinf(neighbours.distances).tolist() == [[False, True, True], [True, True, True]]
    outcome = evaluate_search(neighbours, np.arange(5), np.array([3, 9]), largest_rank=3)
    assert outcome.ranks.tolist() == [1, 0]
    assert outcome.nearest.tolist() == [3, -1]


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"pip install 'lfw-eval\[faiss\]'"):
        faiss_search(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 1)


# Metrics


@given(
    hnp.arrays(
        np.intp, st.tuples(st.integers(1, 8), st.integers(1, 9)), elements=st.integers(-1, 4)
    ),
    st.data(),
)
def test_cmc_counts_people(candidates, data):
    people = data.draw(hnp.arrays(np.intp, len(candidates), elements=st.integers(0, 5)))
    ranks = mate_ranks(candidates, people)
    for nearest, person, rank in zip(candidates, people, ranks, strict=True):
        ordered = list(dict.fromkeys(nearest.tolist()))
        assert rank == (ordered.index(person) + 1 if person in ordered else 0)
    curve = cmc(ranks, 5)
    assert curve == pytest.approx([np.mean((ranks > 0) & (ranks <= r)) for r in range(1, 6)])


@given(st.data())
def test_tpir_is_the_best_of_all_thresholds(data):
    eighths = st.integers(0, 8).map(lambda value: value / 8)
    mates = data.draw(hnp.arrays(np.float32, st.integers(1, 30), elements=eighths))
    others = data.draw(hnp.arrays(np.float32, st.integers(1, 30), elements=eighths))
    ranks = data.draw(hnp.arrays(np.intp, len(mates), elements=st.integers(0, 3)))
    target = data.draw(st.sampled_from([0.01, 0.1, 1 / 3, 0.5]))
    rate = tpir_at(target, ranks, mates, others)
    thresholds = [t for t in np.unique(others) if np.mean(others < t) <= target]
    assert rate.value == max(np.mean((ranks == 1) & (mates < t)) for t in thresholds)
    assert rate.fpir == max(np.mean(others < t) for t in thresholds)
    assert rate.fpir <= target
    resolved = (1 - target) ** len(others) <= 0.05
    assert bool(rate.interval) == resolved == (not rate.unresolved)
    if rate.interval:
        assert 0 <= rate.interval[0] <= rate.value <= rate.interval[1] <= 1


def outcome_of(noise, seed=0, people=300, enrolled=150):
    """Each of 300 people looked for twice, half of them enrolled."""
    rng = np.random.default_rng(seed)
    centres = unit(rng, people, 32)
    who = np.repeat(np.arange(people), 2)
    gallery = centres[:enrolled] + 0.12 * rng.standard_normal((enrolled, 32))
    probes = centres[who] + 0.12 * rng.standard_normal((len(who), 32))
    probes += noise * np.random.default_rng(seed + 1).standard_normal(probes.shape)
    rows = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (gallery, probes)]
    neighbours = search(*(x.astype(np.float32) for x in rows), 5)
    return evaluate_search(neighbours, np.arange(enrolled), who, largest_rank=5), who


def test_outcome_of_known_candidates():
    candidates = Candidates(
        np.array([[0, 1], [1, 0], [1, 2], [0, 2]]),
        np.array([[0.1, 0.5], [0.2, 0.3], [0.4, 0.6], [0.3, 0.7]], np.float32),
    )
    # Images 1 and 2 are of one person, 7; the last probe is of nobody enrolled.
    outcome = evaluate_search(
        candidates,
        np.array([5, 7, 7]),
        np.array([5, 5, 7, 9]),
        largest_rank=2,
        fpir_targets=(0.5,),
    )
    assert outcome.ranks.tolist() == [1, 2, 1, 0]
    assert outcome.mated.tolist() == [True, True, True, False]
    assert outcome.rank1.value == 2 / 3
    assert outcome.cmc == (2 / 3, 1)
    (rate,) = outcome.tpir
    # The non-mated probe is 0.3 from somebody: nothing may be accepted from there on.
    assert (rate.value, rate.fpir, rate.threshold) == (1 / 3, 0, pytest.approx(0.3))
    assert rate.unresolved == "FPIR 0.5 needs about 5 non-mated probes; there are 1"
    assert outcome.identified(rate).tolist() == [True, False, False]


def test_no_tpir_where_everybody_is_enrolled():
    candidates = Candidates(np.array([[0]]), np.array([[0.1]], np.float32))
    outcome = evaluate_search(candidates, np.array([0]), np.array([0]), largest_rank=1)
    assert outcome.tpir == ()


def test_a_run_compared_with_itself_does_not_change():
    outcome, who = outcome_of(0)
    assert compare_rank1(outcome, outcome) == type(compare_rank1(outcome, outcome))(0, 0, 1.0)
    for change in compare_tpir(outcome, outcome, who):
        assert (change.right_to_wrong, change.wrong_to_right) == (0, 0)
        assert change.interval == (0, 0)


def test_a_worse_run_is_found_worse():
    (good, who), (bad, _) = outcome_of(0), outcome_of(0.1)
    rank1 = compare_rank1(good, bad)
    assert rank1.right_to_wrong > rank1.wrong_to_right
    assert rank1.p_value < 0.01
    for change, better, worse in zip(
        compare_tpir(good, bad, who), good.tpir, bad.tpir, strict=True
    ):
        assert change.right_to_wrong - change.wrong_to_right == round(
            (better.value - worse.value) * better.n
        )
        assert change.interval[0] < worse.value - better.value < change.interval[1]
    assert change.interval[1] < 0


@pytest.mark.slow
def test_interval_of_a_change_covers_nothing():
    """Two equally noisy runs of the same people: 0 is in nearly every interval."""
    held = []
    for seed in range(0, 60, 3):
        first, who = outcome_of(0.02, seed)
        second, _ = outcome_of(0.02, seed)
        second = replace(second, distances=second.distances + _jitter(second, seed))
        held += [
            change.interval[0] <= 0 <= change.interval[1]
            for change in compare_tpir(first, second, who)
        ]
    assert np.mean(held) >= 0.85


def _jitter(outcome, seed):
    return np.random.default_rng(seed).normal(0, 0.02, len(outcome.distances)).astype(np.float32)


# Enrolment


def test_first_images_are_enrolled():
    enrolment = enrol_first_images(reversed(NAMES))
    assert enrolment.gallery == ("Ann_0001", "Cy_0001")
    assert enrolment.gallery_people == ("Ann", "Cy")
    assert enrolment.probes == ("Ann_0002", "Ann_0003", "Bo_0001", "Cy_0002")
    assert enrolment.mated.tolist() == [True, True, False, True]


def test_lists(tmp_path):
    gallery, probes = tmp_path / "gallery.csv", tmp_path / "probes.csv"
    gallery.write_text("\ufeffname,identity\nAnn_0002\n\nCy_0001, Somebody Else\nAnn_0001\n")
    probes.write_text("Ann_0003\nCy_0002,Somebody Else\nBo_0001")
    enrolment = read_enrolment(gallery, probes, NAMES)
    assert enrolment.gallery == ("Ann_0002", "Cy_0001", "Ann_0001")
    assert enrolment.gallery_people == ("Ann", "Somebody Else", "Ann")
    assert enrolment.mated.tolist() == [True, True, False]
    assert enrolment.digest() != enrol_first_images(NAMES).digest()


@pytest.mark.parametrize(
    ("gallery", "probes", "message"),
    [
        ("Ann_0001", "Ann_0001", "in both .*gallery.csv and .*probes.csv, such as Ann_0001"),
        ("Ann_0001\nAnn_0001", "Ann_0002", "line 2: Ann_0001 is listed twice"),
        ("Ann_0001,Ann,x", "Ann_0002", "line 1: expected name or name,identity"),
        ("Ann_0001,", "Ann_0002", "line 1: expected name or name,identity"),
        ("Ann_0001.jpg", "Ann_0002", "the name Ann_0001.jpg does not say"),
        ("Dan_0001", "Ann_0002", "not in the data set: 1, such as Dan_0001"),
        ("Ann_0001", "Bo_0001", "no probe has a mate"),
        ("\n", "Ann_0002", "names no image"),
        ("name,identity\n", "Ann_0002", "names no image"),
        ("Ann_0001,\xff", "Ann_0002", "is not a list of images"),
    ],
)
def test_refused_lists(tmp_path, gallery, probes, message):
    (tmp_path / "gallery.csv").write_bytes(gallery.encode("latin-1"))
    (tmp_path / "probes.csv").write_text(probes)
    with pytest.raises(UserError, match=message):
        read_enrolment(tmp_path / "gallery.csv", tmp_path / "probes.csv", NAMES)


def test_refused_names():
    with pytest.raises(UserError, match="the name portrait does not say"):
        enrol_first_images(["portrait", "Ann_0001"])
    with pytest.raises(UserError, match="nobody in the data set has two"):
        enrol_first_images(["Ann_0001", "Bo_0001"])
    with pytest.raises(UserError, match="cannot be read"):
        read_enrolment(Path("missing.csv"), Path("missing.csv"), NAMES)
