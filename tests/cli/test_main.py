import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import lfw_eval, refused

from lfw_eval.results.engine import DUMMY


def evaluate(small, *arguments, **environment):
    return lfw_eval(
        "evaluate", "--dataset", small / "faces", "--boxes", small / "boxes.csv", *arguments,
        cwd=small, LFW_EVAL_DATASETS=str(small / "data"), **environment,
    )  # fmt: skip


def test_dummy_engine_through_the_whole_pipeline(small, facenet):
    run = evaluate(small, "--engine", "dummy", "--precision", "fp16", "--bs", "2")
    assert run.returncode == 0, run.stderr
    assert "ACC" in run.stdout
    heads = next(line for line in run.stdout.splitlines() if "dummy for" in line)
    assert "dummy for FP32" in heads
    assert "dummy for FP16" in heads
    assert f"*** {DUMMY.upper()} ***" in run.stdout
    assert "\nnormalised  per-image\n" in run.stdout
    (path,) = (small / "results").glob("*.json")
    content = json.loads(path.read_text())
    result = content["result"]
    assert result["data"]["images"] == 4
    assert result["reference"]["verification"]["accuracy"]["n"] == 4
    assert len(result["data"]["crops_sha256"]) == 64
    assert content["environment"]["numpy"] == np.__version__
    scores = np.load(path.with_suffix(".npz"))
    assert scores["reference.verification.genuine"].tolist() == [True, False, True, False]
    assert scores["candidate.verification.distances"].shape == (4,)
    again = evaluate(small, "--engine", "dummy", "--precision", "fp16", "--bs", "2")
    assert again.returncode == 0


def test_target(small, facenet):
    arguments = ("--engine", "dummy", "--precision", "fp32", "--tgt")
    assert evaluate(small, *arguments, "0").returncode == 0
    run = evaluate(small, *arguments, "1")
    accuracy = json.loads(next((small / "results").glob("*.json")).read_text())["result"]
    if accuracy["reference"]["verification"]["accuracy"]["value"] < 1:
        assert run.returncode == 1
        assert "below the target of 1" in run.stderr


def test_mistakes_are_told_in_one_sentence(small, facenet):
    (small / "dir.json").mkdir()
    assert "did you mean 'openvino'" in refused(evaluate(small, "--engine", "openvin"))
    assert "must end in .json" in refused(evaluate(small, "--output", "x.npz"))
    assert "Is a directory" in refused(evaluate(small, "--output", "dir.json/"))
    half = evaluate(small, "--engine", "onnxruntime", "--precision", "fp16")
    assert "has no fp16" in refused(half)
    assert "--checkpoint nothing" in refused(evaluate(small, "--checkpoint", "nothing"))
    broken = small / "broken.h5"
    broken.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(5000))
    assert "broken.h5" in refused(evaluate(small, "--checkpoint", broken))
    (small / "boxes.csv").write_text("image,x,y,w,h\nBo_0001,1,2,three,4\n")
    assert "boxes.csv, line 2" in refused(evaluate(small))
    (small / "faces" / "pairs.txt").write_text("2\t1\nAnn_Lee\t1\n")
    assert "pairs.txt, line 2" in refused(evaluate(small))
    (small / "faces" / "Bo" / "Bo_0001.jpg").write_bytes(b"\xff\xd8 cut off")
    run = evaluate(small, "--pairs", small / "none.txt")
    assert "none.txt" in refused(run)
    assert not list((small / "results").glob("*"))


def test_corrupt_photograph_leaves_no_crop_store(small, facenet):
    path = small / "faces" / "Bo" / "Bo_0001.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    assert "Bo_0001.jpg is corrupt or truncated" in refused(evaluate(small, "--engine", "dummy"))
    assert not list((small / "data").rglob("store.json"))
    path.write_bytes(whole)
    assert evaluate(small, "--engine", "dummy").returncode == 0


def test_folder_that_cannot_be_written_to(small, facenet):
    (small / "results").write_text("a file where the folder should be")
    run = evaluate(small, "--engine", "dummy", "--precision", "fp32")
    assert "results" in refused(run)


@pytest.mark.slow
def test_no_network_and_no_checkpoint(small):
    run = evaluate(
        small, "--engine", "dummy", PIP_NO_INDEX="1", LFW_EVAL_CHECKPOINTS=str(small / "empty")
    )
    assert "facenet-keras could not be fetched" in refused(run)
    assert not any(path.is_file() for path in (small / "empty").rglob("*"))


def test_convert(small, facenet, tmp_path):
    run = lfw_eval("convert", facenet.model, tmp_path / "out.onnx", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out.onnx").stat().st_size > 80e6
    run = lfw_eval("convert", tmp_path / "none.h5", tmp_path / "x.onnx", cwd=tmp_path)
    assert "none.h5 is neither a file nor one of facenet-keras" in refused(run)


def test_prepare_and_calibrate(small, facenet):
    options = ("--dataset", small / "faces", "--boxes", small / "boxes.csv")
    environment = {"LFW_EVAL_DATASETS": str(small / "data")}
    run = lfw_eval("prepare", *options, cwd=small, **environment)
    assert run.returncode == 0, run.stderr
    assert "4 crops and 4 pairs" in run.stdout
    (store,) = (small / "data" / "prepared" / "faces").iterdir()
    assert (store / "pairs.txt").read_text() == (small / "faces" / "pairs.txt").read_text()
    run = lfw_eval("calibrate", *options, "--tensorrt", "8.6.0", cwd=small, **environment)
    assert run.returncode == 0, run.stderr
    assert "4 OF THEM ARE ALSO IN THE EVALUATED PAIRS" in run.stdout
    (cache,) = [Path(line) for line in run.stdout.splitlines() if line.endswith(".cache")]
    assert cache.read_text().startswith("TRT-8600-EntropyCalibration2\ninput: ")
    run = lfw_eval("calibrate", *options, "--tensorrt", "11.0.0", cwd=small, **environment)
    assert "does not read calibration caches" in refused(run)


def test_progress_shows_on_a_terminal_of_unknown_size(small, tmp_path):
    """As `script` and some containers have: no row and no column."""
    ours, theirs = pty.openpty()
    options = ("--dataset", "faces", "--boxes", "boxes.csv")
    subprocess.run(
        [sys.executable, "-m", "lfw_eval", "prepare", *options],
        cwd=small,
        env={**os.environ, "LFW_EVAL_DATASETS": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "align: 100%" in shown
