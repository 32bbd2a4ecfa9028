"""The main job on real LFW and the real checkpoint: the numbers that the README states."""

import json

import pytest
from test_command import lfw_eval


@pytest.fixture(scope="module")
def lfw_run(real_data, golden, facenet, tmp_path_factory):
    """INT8 beside FP32 on the crops of the golden results."""
    folder = tmp_path_factory.mktemp("lfw")
    run = lfw_eval(
        "evaluate", "--dataset", real_data / "lfw.tgz", "--boxes", golden / "lfw_boxes.csv",
        "--output", folder / "result.json", cwd=folder, LFW_EVAL_DATASETS=str(folder),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run, json.loads((folder / "result.json").read_text())["result"]


def test_fp32_is_facenet_to_the_last_digit(lfw_run):
    run, result = lfw_run
    verification = result["reference"]["verification"]
    assert f"{verification['accuracy']['value']:.5f}" == "0.99217"
    assert f"{verification['accuracy']['std']:.5f}" == "0.00308"
    assert f"{verification['auc']['value']:.5f}" == "0.99901"
    assert "0.99217" in run.stdout
    assert result["data"]["images"] == 7701


def test_int8_costs_nothing(lfw_run):
    run, result = lfw_run
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
