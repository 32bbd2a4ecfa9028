"""The accuracies that the README prints, measured on a small data set."""

import json
import sys

import lfw_accuracy
import pytest


@pytest.fixture
def measured(small, facenet, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(facenet.folder.parent))
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(small / "data"))
    (small / "releases" / "same").mkdir(parents=True)
    arguments = [small / "faces", "--boxes", small / "boxes.csv", "--crops", "boxes"]
    arguments += ["--spread-runs", "fp32_openvino", "int8_openvino"]
    arguments += ["--output", small / "out.json", "--overlays", small / "releases"]
    command = ["lfw_accuracy", *map(str, arguments), "--spread", "same"]
    monkeypatch.setattr(sys, "argv", command)
    lfw_accuracy.main()
    return json.loads((small / "out.json").read_text())


def test_every_run_is_compared_with_fp32_of_its_engine(measured):
    rows = measured["boxes"]
    for engine in ("openvino", "onnxruntime"):
        assert "changed pairs" not in rows[f"fp32_{engine}"]
        assert 0.9 < rows[f"int8_{engine}"]["mean cosine"] < 0.99999
    assert measured["pairs"] == 4
    assert measured["spread"].keys() == {"fp32_openvino", "int8_openvino"}
    assert rows["calibration"]["images"] > 0
    assert rows["int8_onnxruntime"]["int8 share"] > 0.5
    assert measured["lock"]["file"].startswith("requirements/python3.")
    low_and_high = measured["spread"]["int8_openvino"]["mean cosine"]
    assert low_and_high == dict.fromkeys(("low", "high"), rows["int8_openvino"]["mean cosine"])
    assert measured["spread releases"] == [measured["versions"]] * 2


def test_spread_is_of_every_metric():
    run = "int8_openvino"
    rows = [{run: {"ACC": acc, "runtime": "x"}, "data": "LFW"} for acc in (0.3, 0.1, 0.2)]
    rows[0]["int8_onnxruntime"] = {"ACC": 0.5}
    assert lfw_accuracy.spread(rows) == {run: {"ACC": {"low": 0.1, "high": 0.3}}}
