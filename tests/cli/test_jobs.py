"""The options of a job, through whole verbs on a small network."""

import json
import sys

import onnx
import pytest

from lfw_eval.cli.main import main
from lfw_eval.cli.options import CalibrationDataOptions
from lfw_eval.system.errors import UserError

HEADER = "TRT-8503-EntropyCalibration2"


@pytest.fixture
def verb(small, tiny_facenet, tmp_path, monkeypatch, capsys):
    """Runs a verb on six photographs and the tiny network, beside a cache of that."""
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "data"))
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(tmp_path / "checkpoints"))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "manifest.toml").touch()
    monkeypatch.chdir(tmp_path)
    onnx.save(tiny_facenet, "tiny.onnx")
    names = ["input", *(name for node in tiny_facenet.graph.node for name in node.output)]
    lines = [HEADER, *(f"{name}: 3d000000" for name in names if name != "flat")]
    (tmp_path / "old.cache").write_text("\n".join(lines) + "\n")

    def run(name, *options):
        network = ("--checkpoint", "tiny.onnx", "--normalisation", "per-image")
        arguments = ("--dataset", "faces", "--boxes", "boxes.csv", *network, *options)
        monkeypatch.setattr(sys, "argv", ["lfw-eval", name, *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        return leaving.value.code or 0, capsys.readouterr()

    return run


CACHE = ("--calibration-cache", "old.cache")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_calibration_cache_on_the_cpu(verb, tmp_path, engine):
    code, printed = verb("evaluate", *CACHE, "--engine", engine, "--output", "result.json")
    assert code == 0, printed.err
    assert "scales      from old.cache of TensorRT 8.5.3, EntropyCalibration2" in printed.out
    assert "to quantise; what reads the other 1 stays float" in printed.out
    assert "calibrated" not in printed.out
    result = json.loads((tmp_path / "result.json").read_text())["result"]
    cache = result["candidate"]["engine"]["calibration_cache"]
    assert (cache["name"], cache["tensorrt"]) == ("old.cache", "8.5.3")
    assert cache["scaled"] == cache["tensors"] - 1
    assert result["calibration"] is None
    assert result["reference"]["engine"]["calibration_cache"] is None
    code, printed = verb("build", *CACHE, "--engine", engine)
    assert code == 0, printed.err
    assert "from old.cache of TensorRT 8.5.3" in printed.out


@pytest.mark.slow
def test_caches_that_cannot_be_taken(verb, tmp_path):
    (tmp_path / "list.txt").write_text("Bo_0001\n")
    code, printed = verb("evaluate", *CACHE, "--calibration-list", "list.txt")
    assert code == 2
    assert "--calibration-cache and --calibration-list are two sources of scales" in printed.err
    (tmp_path / "old.cache").write_text(f"{HEADER}\ninput: 3d000000\nother: 3d000000\n")
    for name in ("evaluate", "benchmark", "build"):
        code, printed = verb(name, *CACHE)
        assert code == 2
        assert "old.cache is of another network: it has scales for 1 of the" in printed.err
    # Nothing long was begun.
    assert not (tmp_path / "data" / "prepared").exists()


@pytest.mark.slow
def test_the_first_batch_is_in_table_and_result(verb, tmp_path):
    for count in (2, 4):
        output = f"{count}.json"
        code, printed = verb("evaluate", "--first-batch", count, "--output", output)
        assert code == 0, printed.err
        assert f"first batch {count}, drawn from" in printed.out
    first, second = (
        json.loads((tmp_path / name).read_text())["result"]["calibration"]
        for name in ("2.json", "4.json")
    )
    assert (first["first_batch"], second["first_batch"]) == (2, 4)
    assert first["table_sha256"] != second["table_sha256"]
    assert (first["people"], first["evaluated_people"]) == (2, 2)


def test_no_data_set_is_opened_where_nothing_is_calibrated(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path))
    assert CalibrationDataOptions().open(calibrates=False).photographs.names == ()
    assert not caplog.records
    with pytest.raises(UserError, match="nowhere does not exist"):
        CalibrationDataOptions(dataset="nowhere").open(calibrates=False)
