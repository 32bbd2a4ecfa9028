"""The public calls: what is exported, their examples, what they refuse, and their types."""

import configparser
import doctest
import inspect
import os
import re
import subprocess
import sys
import sysconfig

import numpy as np
import onnx
import pytest
from colour_network import colour_network
from command import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st

import lfw_eval as le
from calibration.quantize import QdqTypes
from calibration.quantize import quantize as insert_qdq
from lfw_eval import api
from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.gate.rules import MetricRule
from lfw_eval.metrics.verification.protocol import evaluate as evaluate_rows

CALLS = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]


@pytest.fixture(scope="session")
def celebrities(facenet, mtcnn_weights):
    """They come in one package with the default checkpoint."""
    return le.open_dataset("celebrities")


@pytest.fixture
def small_network(tiny_facenet, tmp_path, monkeypatch):
    """A checkpoint of 160x160 that takes no time, and keeps what is made from it to itself."""
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    onnx.save(tiny_facenet, tmp_path / "tiny.onnx")
    return {"checkpoint": tmp_path / "tiny.onnx", "normalisation": "fixed"}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_network_of_bgr_crops_that_are_not_square(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    onnx.save(colour_network(), tmp_path / "colours.onnx")
    crops = np.random.default_rng(0).integers(0, 256, (16, 40, 32, 3), np.uint8)
    way = {"checkpoint": tmp_path / "colours.onnx", "normalisation": "104,117,123,57,58,59"}
    scales = le.calibrate(crops=crops, channel_order="bgr", **way)
    bgr = {"channel_order": "bgr", "engine": engine, **way}
    with (
        le.load_engine(engine=engine, **way) as rgb,
        le.load_engine(**bgr) as fp32,
        le.load_engine(precision="int8", scales=scales, **bgr) as int8,
    ):
        assert fp32.crop_shape == (40, 32, 3)
        expected = rgb.embed(np.ascontiguousarray(crops[..., ::-1]))
        embeddings = fp32.embed(crops)
        np.testing.assert_allclose(embeddings, expected, atol=1e-5 * np.abs(expected).max())
        quantised = int8.embed(crops)
    assert not np.allclose(embeddings, quantised, rtol=1e-4)
    products = (embeddings * quantised).sum(axis=1)
    norms = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(quantised, axis=1)
    assert (products / norms).mean() > 0.99


# What is exported


def test_all_of_the_api_is_exported_and_nothing_else():
    assert sorted({*le.__all__} - {"__version__"}) == sorted(api.__all__)
    assert set(le.__all__) <= set(dir(le))
    for name in api.__all__:
        assert getattr(le, name) is getattr(api, name)
        # Submodules would take the place of a call of their name.
        assert not (REPOSITORY / "lfw_eval" / name).exists()
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        le.evaluat  # noqa: B018
    assert re.match(r"\d+\.\d+", le.__version__)


def test_nothing_is_imported_before_a_call():
    code = "import sys, lfw_eval; print({'numpy', 'onnx', 'lfw_eval.api'} & {*sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("script", ["script.py", "calibration.py"])
def test_a_foreign_calibration_is_named(script, tmp_path):
    (tmp_path / "calibration.py").touch()
    (tmp_path / script).write_text("import lfw_eval as le\nle.calibrate('facenet-keras', [])\n")
    run = subprocess.run(
        [sys.executable, tmp_path / script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    foreign = tmp_path / "calibration.py"
    last = run.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {foreign} hides the package calibration that comes with")


# Examples


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CALLS, "lfw_eval", "crop_store"])
def test_examples(name, celebrities):
    documented = {"lfw_eval": le, "crop_store": Dataset.crop_store}.get(name) or getattr(api, name)
    examples = doctest.DocTestFinder(recurse=False).find(documented, name, globs={})
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example)
    assert runner.tries >= 1
    assert not runner.failures


@pytest.mark.parametrize("name", CALLS)
def test_parameters_and_errors_are_documented(name):
    call = getattr(api, name)
    text = inspect.getdoc(call)
    assert "Raises:" in text and "Example:" in text
    for parameter in inspect.signature(call).parameters:
        assert f"{parameter}:" in text, parameter


@pytest.mark.slow
def test_readme(celebrities, capsys):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"## From Python\n\n```python\n(.*?)```", text, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ACC 0.93 in float32"
    assert re.fullmatch(r"ACC of INT8 changes by [+-]0\.\d{5} \(p [01]\.\d{3}\)", lines[1])
    assert lines[2] in ("verdict on INT8: passed", "verdict on INT8: cannot tell")


# Embedding


def crops_of(count, side=160):
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_batches_do_not_matter(small_network):
    crops = crops_of(7)
    with le.load_engine(**small_network, engine="dummy", batch_size=3) as network:
        embeddings = network.embed(crops)
        assert embeddings.shape == (7, network.dimensions)
        assert embeddings[4:5] == pytest.approx(network.embed(crops[4:5]), abs=1e-3)
        assert network.embed(crops[:0]).shape == (0, network.dimensions)
        assert repr(network) == "<Embedder in random projection, dummy 1 on none>"
        assert network.about.precision == "fp32"


@pytest.mark.parametrize(
    "crops", [crops_of(2).astype(float), crops_of(2, 112), crops_of(1)[0], crops_of(2)[..., :1]]
)
def test_crops_that_the_network_cannot_take(crops, small_network):
    with (
        le.load_engine(**small_network, engine="dummy") as network,
        pytest.raises(le.UserError, match=r"`crops` must be uint8 \(n, 160, 160, 3\)"),
    ):
        network.embed(crops)
    with pytest.raises(le.UserError, match=r"`crops` must be uint8 \(n, 160, 160, 3\)"):
        le.calibrate(crops=crops, **small_network)


TABLE = le.ScaleTable({"input": 2.0}, "entropy", model="", images="", crops=1)


@pytest.mark.slow
def test_a_refined_network(crops, small_network):
    refined = le.refine(crops=crops, **small_network)
    assert le.refine(crops=crops, **small_network) == refined
    way = {"engine": "onnxruntime", "normalisation": "fixed"}
    with (
        le.load_engine(refined.checkpoint, precision="int8", scales=refined.scales, **way) as int8,
        le.load_engine(refined.equalised, **way) as equalised,
        le.load_engine(engine="onnxruntime", **small_network) as fp32,
    ):
        expected = fp32.embed(crops)
        furthest = np.abs(equalised.embed(crops) - expected).max()
        # The tolerance of a step that preserves the function, and rounding.
        assert furthest < 2e-4 * np.abs(expected).max()
        assert cosines(int8.embed(crops), expected).mean() >= refined.about.outcome.cosine - 0.01
    assert (refined.about.fitted, refined.about.held_out) == (48, 16)
    with pytest.raises(le.UserError, match="at least 8 calibration crops, not 4"):
        le.refine(crops=crops[:4], **small_network)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_arguments_of_another_type(small_network):
    embeddings, _, pairs = drawn_pairs(0)
    result = le.evaluate(embeddings, pairs)
    crops = crops_of(1)
    with le.load_engine(**small_network, engine="dummy") as network:
        for call, sentence in [
            (lambda: network.embed([1, 2]), "`crops` takes an array, uint8 (n, 160, 160, 3), not"),
            (lambda: le.calibrate(crops=[1], **small_network), "`crops` takes an array, uint8"),
            (lambda: le.load_engine(**small_network, scales={}), "`scales` takes a ScaleTable"),
            (lambda: le.load_engine(**small_network, batch_size="8"), "`batch_size` takes a num"),
            (lambda: le.quantize(scales=None, **small_network), "`scales` takes a ScaleTable"),
            (lambda: le.calibration_cache(None, "8.6.1"), "`table` takes a ScaleTable"),
            (lambda: le.calibration_cache(TABLE, 8.6), "`version` takes a version of TensorRT"),
            (lambda: le.evaluate(embeddings, "pairs.txt"), "`pairs` takes Pairs"),
            (lambda: le.judge(result, None), "`baseline` takes what `evaluate` returns, not None"),
            (lambda: le.judge(crops, result), "`candidate` takes what `evaluate` returns, not nd"),
            (lambda: le.judge(result, result, "rules.toml"), "`rules` takes Rules"),
            (lambda: le.compare(None, result), "`reference` takes what `evaluate` returns"),
            (lambda: le.compare(result, 1), "`candidate` takes what `evaluate` returns, not int"),
        ]:
            with pytest.raises(le.UserError, match=re.escape(sentence)):
                call()


def test_paths_may_be_strings(tmp_path):
    path = str(tmp_path / "scales.json")
    TABLE.save(path)
    assert le.ScaleTable.load(path) == TABLE
    (tmp_path / "rules.toml").write_text("significance = 0.01")
    assert le.Rules.load(str(tmp_path / "rules.toml")).significance == 0.01
    for load in (le.ScaleTable.load, le.Rules.load, le.read_pairs):
        with pytest.raises(le.UserError, match=r"nope\.x cannot be read"):
            load(str(tmp_path / "nope.x"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"precision": "int8"}, "`precision` int8 needs `scales`"),
        ({"scales": le.ScaleTable({}, "entropy", "", "", 0)}, "`precision` fp32 takes no `scales`"),
        ({"gpu": (1,)}, "are for `engine` tensorrt, not `engine` openvino"),
        ({"batchsize": 8}, "`engine` openvino has no option `batchsize`; it has `calib"),
        (
            {"engine": "tensorrt", "tf23": False},
            "has no option `tf23`; it has `calib",
        ),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"engine": "openvin"}, "`engine` 'openvin' is unknown; did you mean 'openvino'"),
        ({"precision": "int4"}, "`engine` openvino has no int4"),
        ({"checkpoint": "facenet"}, "`checkpoint` facenet is neither a file nor one of"),
        ({"normalisation": "whole"}, "`normalisation` 'whole' is unknown; choose per-image"),
    ],
)
def test_engines_that_cannot_be(options, message, small_network):
    with pytest.raises(le.UserError, match=message):
        le.load_engine(**{**small_network, **options})


def test_a_closed_engine_says_so(small_network):
    with le.load_engine(**small_network, engine="dummy") as network:
        pass
    network.close()
    with pytest.raises(le.UserError, match="the engine is closed"):
        network.embed(crops_of(1))


# Evaluation


def drawn_pairs(seed):
    """Two images of each person, one genuine and one impostor pair of each, in 3 folds."""
    people, folds = 12, 3
    rng = np.random.default_rng(seed)
    names = [f"P{person:02}_{image:04}" for person in range(people) for image in (1, 2)]
    embeddings = rng.normal(size=(people, 6)).repeat(2, axis=0) + rng.normal(size=(24, 6))
    left = names[::2] * 2
    right = names[1::2] + [names[(2 * person + 3) % 24] for person in range(people)]
    fold = [person % folds for person in range(people)] * 2
    return embeddings, names, le.Pairs.of(left, right, [True] * people + [False] * people, fold)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["squared_l2", "cosine"]), st.booleans())
def test_evaluate_is_the_protocol_in_any_order_of_images(seed, distance, subtract_mean):
    embeddings, names, pairs = drawn_pairs(seed)
    options = {"distance": distance, "subtract_mean": subtract_mean, "far_target": 0.1}
    direct = evaluate_rows(
        embeddings, pairs.left, pairs.right, pairs.genuine, pairs.fold, **options
    )
    assert pairs.names == tuple(names)
    result = le.evaluate(embeddings, pairs, **options)
    order = np.random.default_rng(seed).permutation(24)
    shuffled = le.evaluate(embeddings[order], pairs, names=[names[row] for row in order], **options)
    for same in (result, shuffled):
        assert same.distances == pytest.approx(direct.distances, abs=1e-12)
        assert (same.accuracy, same.val) == (direct.accuracy, direct.val)


def test_images_without_embeddings_are_refused():
    embeddings, names, pairs = drawn_pairs(0)
    for wrong in (embeddings[:-1], embeddings.ravel(), np.vstack([embeddings, embeddings])):
        with pytest.raises(le.UserError, match="`embeddings` must have one row for each of 24"):
            le.evaluate(wrong, pairs)
    with pytest.raises(le.UserError, match="P11_0002"):
        le.evaluate(embeddings[:-1], pairs, names=names[:-1])
    with pytest.raises(le.UserError, match="`names` lists P00_0001 twice"):
        le.evaluate(np.vstack([embeddings, embeddings[:1]]), pairs, names=[*names, names[0]])
    more = np.vstack([embeddings, embeddings[:1]])
    assert le.evaluate(more, pairs, names=[*names, "another"]).accuracy.n == 24


def test_judge_finds_a_regression_and_other_pairs():
    embeddings, names, pairs = drawn_pairs(1)
    baseline = le.evaluate(embeddings, pairs)
    noise = np.random.default_rng(0).normal(size=embeddings.shape)
    assert le.judge(baseline, baseline).verdict in ("passed", "cannot tell")
    worse = le.evaluate(noise, pairs)
    strict = le.Rules(metrics={**le.Rules().metrics, "ACC": MetricRule(0.002, never_worse=True)})
    assert le.judge(worse, baseline, strict).verdict == "regressed"
    assert le.compare(baseline, worse).right_to_wrong > 0
    other = le.evaluate(embeddings, pairs, far_target=0.1)
    with pytest.raises(le.UserError, match="evaluate both with the same `far_target`"):
        le.judge(other, baseline)
    fewer = le.Pairs.of(*[[*side] for side in sides(pairs, 12)])
    with pytest.raises(le.UserError, match="the reference has 24 pairs and the candidate 22"):
        le.judge(le.evaluate(embeddings, fewer, names=names), baseline)


def sides(pairs, step):
    """The pairs but one genuine and one impostor."""
    selected = [index for index in range(len(pairs)) if index % step]
    named = ([pairs.names[rows[i]] for i in selected] for rows in (pairs.left, pairs.right))
    return [*named, pairs.genuine[selected], pairs.fold[selected]]


# Calibration


def test_scales_make_an_engine_a_cache_and_a_network(small_network):
    crops = crops_of(4)
    scales = le.calibrate(crops=crops, method="minmax", **small_network)
    assert (scales.method, scales.crops) == ("minmax", 4)
    with (
        le.load_engine(**small_network) as fp32,
        le.load_engine(**small_network, precision="int8", scales=scales) as int8,
    ):
        exact, rounded = fp32.embed(crops), int8.embed(crops)
    assert int8.about.arithmetic == "int8 and float32"
    cosine = np.sum(exact * rounded, axis=1)
    cosine /= np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
    assert cosine.min() > 0.95
    assert not np.array_equal(exact, rounded)
    text = le.calibration_cache(scales, "8.6.1")
    assert text.startswith("TRT-8601-MinMaxCalibration\n")
    assert len(text.splitlines()) == 1 + len(scales.amax)
    folded = open_checkpoint(str(small_network["checkpoint"]), "fixed").model
    for unsigned in (False, True):
        network = le.quantize(scales=scales, unsigned=unsigned, **small_network)
        expected = insert_qdq(onnx.load(folded), scales, QdqTypes(unsigned=unsigned))
        assert network.SerializeToString() == expected.SerializeToString()


@pytest.mark.parametrize(
    "crops, method, message",
    [
        (crops_of(0), "entropy", "calibration needs at least one crop"),
        (crops_of(1), "entropie", "`method` 'entropie' is unknown; choose one of entropy"),
    ],
)
def test_calibrations_that_cannot_be(crops, method, message, small_network):
    with pytest.raises(le.UserError, match=message):
        le.calibrate(crops=crops, method=method, **small_network)


# Types


def test_types_ship():
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    for package in ("lfw_eval", "calibration"):
        assert (REPOSITORY / package / "py.typed").is_file()
        assert "py.typed" in setup["options.package_data"][package]


SCRIPT = """
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import lfw_eval as le


def accuracy(photographs: Path, scales: le.ScaleTable | None = None) -> float:
    faces: le.Dataset = le.open_dataset(photographs)
    crops: NDArray[np.uint8] = faces.crop_store().crops
    with le.load_engine(precision="int8" if scales else "fp32", scales=scales) as network:
        embeddings: NDArray[np.float32] = network.embed(crops)
        print(network.about.device)
    return le.evaluate(embeddings, faces.pairs, distance="cosine").accuracy.value


def regressed(candidate: le.VerificationResult, baseline: le.VerificationResult) -> bool:
    print(le.compare(baseline, candidate).accuracy_change.p_value, le.__version__)
    return le.judge(candidate, baseline, le.Rules.load(Path("rules.toml"))).verdict == "regressed"


def cache(crops: NDArray[np.uint8]) -> str:
    try:
        return le.calibration_cache(le.calibrate("facenet-keras", crops, "mse"), "8.6.1")
    except le.UserError as error:
        return error.hint
"""
MISTAKES = """
le.load_engine(precision="int4")
le.evaluate([[1.0]], "pairs.txt")
le.evaluat
"""


@pytest.mark.slow
def test_a_users_script_is_checked_against_installed_types(tmp_path):
    """Of packages that are installed, types are read because of py.typed alone."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    for package in ("lfw_eval", "calibration"):
        (site / package).symlink_to(REPOSITORY / package)
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + MISTAKES)
    python = site.parents[2] / "bin" / "python"
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, script],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    lines = [int(line.split(":")[1]) for line in run.stdout.splitlines() if ": error: " in line]
    first = SCRIPT.count("\n") + 2
    assert lines == [first, first + 1, first + 2], run.stdout + run.stderr
