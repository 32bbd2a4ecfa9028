"""The main job on real LFW and the real checkpoint: the numbers that the README states."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from command import lfw_eval

from calibration.scales import ScaleTable
from lfw_eval.metrics.verification.protocol import evaluate_distances
from lfw_eval.results.file import read_result, save_result

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lfw_run(real_data, golden, facenet, tmp_path_factory):
    """INT8 beside FP32 on the crops of the golden results."""
    folder = tmp_path_factory.mktemp("lfw")
    run = lfw_eval(
        "evaluate", "--dataset", real_data / "lfw.tgz", "--boxes", golden / "lfw_boxes.csv",
        "--output", folder / "result.json", cwd=folder, LFW_EVAL_DATASETS=str(folder),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return folder, run, json.loads((folder / "result.json").read_text())["result"]


def test_fp32_is_facenet_to_the_last_digit(lfw_run):
    _, run, result = lfw_run
    verification = result["reference"]["verification"]
    assert f"{verification['accuracy']['value']:.5f}" == "0.99217"
    assert f"{verification['accuracy']['std']:.5f}" == "0.00308"
    assert f"{verification['auc']['value']:.5f}" == "0.99901"
    assert "0.99217" in run.stdout
    assert result["data"]["images"] == 7701


def test_int8_costs_nothing(lfw_run):
    _, run, result = lfw_run
    fp32 = result["reference"]["verification"]["accuracy"]["value"]
    int8 = result["candidate"]["verification"]["accuracy"]["value"]
    assert int8 >= fp32 - 0.001
    assert result["cosine"]["value"] >= 0.995
    assert result["calibration"]["evaluated"] == 512
    assert "512 OF THEM ARE ALSO EVALUATED" in run.stdout


def test_celebrities_from_nothing_but_the_package_index(facenet, mtcnn_weights, tmp_path):
    run = lfw_eval(
        "evaluate", "--dataset", "celebrities", cwd=tmp_path, LFW_EVAL_DATASETS=str(tmp_path)
    )
    assert run.returncode == 0, run.stderr
    assert "This is NOT LFW" in run.stdout
    (path,) = (tmp_path / "results").glob("*.json")
    result = json.loads(path.read_text())["result"]
    fp32 = result["reference"]["verification"]["accuracy"]["value"]
    assert fp32 == pytest.approx(0.9295, abs=0.002)
    assert result["candidate"]["verification"]["accuracy"]["value"] >= fp32 - 0.01
    assert result["cosine"]["value"] >= 0.995
    assert result["data"]["undetected"] == 0


def test_gate_passes_int8(lfw_run, tmp_path):
    folder, _, _ = lfw_run
    run = lfw_eval("gate", folder / "result.json", "--json", tmp_path / "gate.json", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    content = json.loads((tmp_path / "gate.json").read_text())
    assert content["verdict"] == "passed"
    accuracy = content["findings"][0]
    assert accuracy["p_value"] > 0.05
    assert accuracy["bounds"][1] < accuracy["allowed"]
    assert f"{accuracy['p_value']:.3g}" in run.stdout


def test_gate_finds_spoilt_scales(lfw_run, real_data, golden, facenet, tmp_path):
    """INT8 whose thresholds are a fourth of what they should be clips most of what it sees."""
    folder, _, _ = lfw_run
    root = tmp_path / "checkpoints"
    shutil.copytree(facenet.folder, root / facenet.folder.name, ignore=_engines)
    for source in facenet.folder.parent.glob("*.h5"):
        (root / source.name).symlink_to(source)
    digest = json.loads((folder / "result.json").read_text())["result"]["calibration"]
    for path in (root / facenet.folder.name).glob("calibration-*/scales-entropy.json"):
        table = ScaleTable.load(path)
        if table.digest() == digest["table_sha256"]:
            spoilt = {name: amax * 0.25 for name, amax in table.amax.items()}
            replace(table, amax=spoilt).save(path)
    run = lfw_eval(
        "evaluate", "--dataset", real_data / "lfw.tgz", "--boxes", golden / "lfw_boxes.csv",
        "--output", tmp_path / "spoilt.json", cwd=tmp_path, LFW_EVAL_DATASETS=str(folder),
        LFW_EVAL_CHECKPOINTS=str(root),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    baseline = ("--baseline", folder / "result.json")
    run = lfw_eval("gate", tmp_path / "spoilt.json", *baseline, cwd=tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "ACC  regressed" in run.stdout


def test_gate_cannot_tell_from_300_pairs(lfw_run, tmp_path):
    """The first 15 genuine and 15 impostor pairs of each fold."""
    folder, _, _ = lfw_run
    result = read_result(folder / "result.json").result
    within = np.arange(6000) % 300
    rows = np.flatnonzero(within < 15)

    def few(run):
        outcome = run.verification
        distances = np.tile(outcome.distances[rows], (10, 1))
        verification = evaluate_distances(distances, outcome.genuine[rows], outcome.fold[rows])
        return replace(run, verification=verification)

    data = replace(result.data, pairs=300, pairs_digest="300 of them")
    result = replace(
        result,
        data=data,
        pairs=replace(result.pairs, left=result.pairs.left[rows], right=result.pairs.right[rows]),
        reference=few(result.reference),
        candidate=few(result.candidate),
    )
    save_result(result, tmp_path / "few.json")
    run = lfw_eval("gate", tmp_path / "few.json", cwd=tmp_path)
    assert run.returncode == 3, run.stdout + run.stderr
    assert "ACC  cannot tell" in run.stdout
    assert "300 pairs cannot rule it out: about " in run.stdout


def _engines(_, names):
    return [name for name in names if name == "engines"]
