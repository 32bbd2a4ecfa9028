"""compare-layers, as a user runs it."""

import csv
import json

import onnx
import pytest
from command import lfw_eval, refused

from lfw_eval.results.layers import LayerComparison

pytestmark = pytest.mark.slow

OPTIONS = ("--boxes", "boxes.csv", "--normalisation", "fixed", "--checkpoint", "own.onnx")


@pytest.fixture
def own(small, network):
    onnx.save(network, small / "own.onnx")
    return small


def compare(folder, *arguments):
    return lfw_eval("compare-layers", "faces", *OPTIONS, *arguments, cwd=folder)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_table_result_and_layers(own, engine):
    run = compare(own, "--engine", engine, "--output", "out.json", "--share", "0.6")
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    for words in ("where noise enters", "in floating point give", "fused away", "result  "):
        assert words in run.stdout.replace("gives", "give"), run.stdout
    assert max(map(len, run.stdout.splitlines())) <= 110
    result = json.loads((own / "out.json").read_text())["result"]
    assert result.keys() == LayerComparison.__dataclass_fields__.keys()
    assert result["crops"] == 6
    assert result["cosine"]["value"] < 1
    assert 1 - result["undisturbed"] < 0.01 * (1 - result["cosine"]["value"])
    names = [tensor["name"] for tensor in result["tensors"]]
    assert names[-1] == "embedding"
    assert not set(names) & {tensor["name"] for tensor in result["fused"]}
    assert all(set(tensor["before"]) < set(names) for tensor in result["tensors"])
    explanation = result["explanation"]
    assert explanation["given_back"] >= 0.6
    rows = list(csv.DictReader((own / "out.csv").open()))
    assert {row["layer"] for row in rows} == set(result["layers"])
    explaining = {row["layer"] for row in rows if row["explains_loss"] == "yes"}
    assert explaining == set(explanation["layers"])


def test_a_calibration_cache_of_the_users(own):
    calibrated = lfw_eval("calibrate", "faces", *OPTIONS, cwd=own)
    assert calibrated.returncode == 0, calibrated.stderr
    cache = next(line for line in calibrated.stdout.splitlines() if line.endswith(".cache"))
    run = compare(own, "--calibration-cache", cache, "--share", "0", "--crops", "3")
    assert run.returncode == 0, run.stderr
    assert "scales      from " in run.stdout
    assert "explained" not in run.stdout
    assert "on 3 crops" in run.stdout
    assert (own / "results" / "faces-own-openvino-int8-layers.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--precision", "fp16"), "--precision fp16 is asked for"),
        (("--engine", "dummy"), "--engine dummy has no tensors"),
        (("--output", "out.html"), "--output out.html must end in .json"),
        (("--engine", "triton://localhost:1/x"), "is a server's"),
    ],
)
def test_mistakes(own, arguments, words):
    assert words in refused(compare(own, *arguments))
