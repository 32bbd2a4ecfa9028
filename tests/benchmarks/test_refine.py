"""The comparison with other tools: whom it calibrates on, and that it runs what they write."""

from dataclasses import replace

import numpy as np
import onnx
import openvino
import pytest
from refine_cases import Case, few
from refine_engines import embeddings, fp32_engine, int8_engine, layers, normalised
from refine_figures import figures, ranges

from calibration.embedding import embed
from calibration.quantize import QdqTypes, quantize
from calibration.sampler import person_of
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.pairs import Pairs


@pytest.fixture
def pairs() -> Pairs:
    """Three folds of 30 genuine and 30 impostor pairs of their own people."""
    left, right, genuine, fold = [], [], [], []
    for number in range(3):
        for person in range(30):
            first = f"Fold{number}_Person{person:02}"
            second = f"Fold{number}_Person{(person + 1) % 30:02}"
            left += [f"{first}_0001"] * 2
            right += [f"{first}_0002", f"{second}_0001"]
            genuine += [True, False]
            fold += [number] * 2
    return Pairs.of(left, right, genuine, fold)


@pytest.fixture
def case(tmp_path, network: onnx.ModelProto, crops: np.ndarray, pairs: Pairs) -> Case:
    onnx.save(network, tmp_path / "fp32.onnx")
    checkpoint = Checkpoint("tiny", tmp_path, tmp_path / "fp32.onnx", "per-image", "sha")
    shape = len(crops), 4
    names = tuple(f"image_{row:04}" for row in range(len(crops)))
    found = np.ones(len(crops), bool)
    store = CropStore(tmp_path, names, crops, np.zeros(shape), found, "none", None, "sha")
    return Case("tiny", checkpoint, store, pairs, pairs)


def test_draws_are_evaluated_on_other_people(case: Case, pairs: Pairs):
    draws = list(case.draws(3, 40))
    assert [len(draw.images.names) for draw in draws] == [40, 40, 40]
    for draw in draws:
        people = {person_of(name) for name in draw.images.names}
        assert len(people) == 30
        assert not people & {person_of(name) for name in draw.pairs.names}
        assert (draw.images.evaluated, draw.images.evaluated_people) == (0, 0)
        assert len(draw.pairs) == 2 * len(pairs) // 3
        assert draw.pairs.folds == 2


def test_few_pairs_still_calibrate_on_all_images_of_a_fold(case: Case, pairs: Pairs):
    quick = replace(case, pairs=few(pairs))
    assert len(quick.pairs) == 3 * 2 * 20
    (draw,) = quick.draws(1, 60)
    assert len(draw.images.names) == 60 and len(draw.pairs) == 2 * 2 * 20


def test_what_peers_get_is_what_the_network_takes(case: Case, crops: np.ndarray):
    inputs = normalised(case, crops)
    assert inputs.dtype == np.float32 and inputs.shape == (len(crops), 3, 160, 160)
    with fp32_engine(case) as engine:
        expected = embeddings(engine, crops)
    np.testing.assert_allclose(embed(case.network(), inputs, 16), expected, atol=1e-4)


@pytest.mark.slow
def test_onnx_and_ir_run_from_the_same_crops(case: Case, crops: np.ndarray, scale_table, tmp_path):
    network = case.network()
    table = scale_table(network, accept_crops(network, "per-image"), [{"crops": crops}])
    file = tmp_path / "quantized.onnx"
    onnx.save(quantize(network, table, QdqTypes(unsigned=True)), file)
    openvino.save_model(
        openvino.convert_model(file), tmp_path / "quantized.xml", compress_to_fp16=False
    )
    with int8_engine(case, file) as engine:
        expected, about = embeddings(engine, crops), layers(engine)
    with int8_engine(case, file.with_suffix(".xml")) as engine:
        np.testing.assert_allclose(embeddings(engine, crops), expected, atol=1e-5)
        assert layers(engine) == about
    assert about["layers in INT8"] > 0


def test_figures_are_those_of_evaluated_images(pairs: Pairs, case: Case):
    rng = np.random.default_rng(3)
    people = sorted({person_of(name) for name in pairs.names})
    centres = dict(zip(people, rng.normal(size=(len(people), 16)), strict=True))
    exact = np.array([centres[person_of(name)] for name in pairs.names], np.float32)
    exact += rng.normal(scale=0.1, size=exact.shape).astype(np.float32)
    (draw,) = case.draws(1, 40)
    calibrated = [row for row, name in enumerate(pairs.names) if name.startswith("Fold0")]
    other = exact.copy()
    other[calibrated] *= -1
    row = figures(exact, other, pairs.names, draw.pairs, pairs)
    assert row["mean cosine"] == pytest.approx(1)
    assert row["change of ACC"] == 0 and row["ACC"] == 1
    other[~np.isin(np.arange(len(other)), calibrated)] *= -1
    other[calibrated] *= -1
    assert figures(exact, other, pairs.names, draw.pairs, pairs)["mean cosine"] < -0.99


def test_ranges_are_over_draws():
    rows = {"1": {"ACC": 0.5, "name": "a", "FPS": 3}, "2": {"ACC": 0.25, "name": "b"}}
    assert ranges(rows) == {"ACC": {"low": 0.25, "high": 0.5}}
