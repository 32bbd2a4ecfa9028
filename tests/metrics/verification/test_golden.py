"""The embeddings of a genuine TensorRT on real LFW give the table that was made with them."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest

from lfw_eval.datasets.pairs import Pairs, read_pairs
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.protocol import evaluate


@pytest.fixture(scope="module")
def golden(real_data) -> Path:
    folder = real_data.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"the golden embeddings are not at {folder}")
    return folder


@pytest.fixture(scope="module")
def pairs(real_data, golden) -> Pairs:
    """LFW's pairs, their rows being those of the golden embeddings."""
    pairs = read_pairs(real_data / "pairs.txt")
    with (golden / "lfw_boxes.csv").open() as boxes:
        assert pairs.names == tuple(row["image"] for row in csv.DictReader(boxes))
    return pairs


def run(golden, pairs, precision, **options):
    embeddings = np.load(golden / f"embeddings_trt860_{precision}.npy")
    columns = (pairs.left, pairs.right, pairs.genuine, pairs.fold)
    return embeddings, evaluate(embeddings, *columns, names=pairs.names, **options)


@pytest.mark.parametrize(
    ("precision", "acc", "std", "auc", "cosine"),
    [
        ("fp32", "0.99217", "0.00308", "0.99901", "1.00000"),
        ("fp16", "0.99200", "0.00323", "0.99901", "1.00000"),
        ("int8", "0.99333", "0.00269", "0.99898", "0.99889"),
    ],
)
def test_table(golden, pairs, precision, acc, std, auc, cosine):
    embeddings, result = run(golden, pairs, precision)
    assert f"{result.accuracy.value:.5f}" == acc
    assert f"{result.accuracy.std:.5f}" == std
    assert f"{result.auc.value:.5f}" == auc
    reference, _ = run(golden, pairs, "fp32")
    assert f"{mean_cosine(reference, embeddings).value:.5f}" == cosine


def test_int8_beside_fp32(golden, pairs):
    _, fp32 = run(golden, pairs, "fp32")
    _, int8 = run(golden, pairs, "int8")
    comparison = compare(fp32, int8)
    assert (comparison.right_to_wrong, comparison.wrong_to_right) == (1, 8)
    assert comparison.mcnemar_p == pytest.approx(2 * (1 + 9) / 2**9)
    assert comparison.accuracy_change.value == pytest.approx(7 / 6000)


def test_other_metrics_are_plausible(golden, pairs):
    _, result = run(golden, pairs, "fp32")
    assert result.eer.value == pytest.approx(0.00733, abs=1e-5)
    assert result.val.value == pytest.approx(0.97767, abs=1e-5)
    assert result.val.far == pytest.approx(0.001)
    low, high = result.val.interval
    assert 0.9 < low < result.val.value < high < 0.99
    _, cosine = run(golden, pairs, "fp32", distance="cosine")
    # The angle rises with the distance, so whatever depends on ranks alone is the same.
    assert cosine.auc == result.auc
    assert cosine.eer.value == result.eer.value


def test_six_thousand_pairs_take_under_a_third_of_a_second(golden, pairs):
    def seconds():
        started = time.perf_counter()
        run(golden, pairs, "fp32", distance="cosine", subtract_mean=True)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(3)) < 0.3
