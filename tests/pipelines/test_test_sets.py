"""The command testsets on sets made of real LFW, through real engines."""

import json
from itertools import pairwise

import numpy as np
import onnx
import pytest
from command import lfw_eval, refused
from released_sets import photographs, some_pairs, write_bin, write_csv_folder, write_ijb

from lfw_eval.results.file import read_result

PER_KIND = 6


@pytest.fixture(scope="module")
def sets(real_data, mtcnn_weights, tmp_path_factory):
    """lfw.bin, a folder with pairs.csv and IJB-C's layout, of the same 120 pairs."""
    folder = tmp_path_factory.mktemp("sets")
    pairs = some_pairs(real_data, PER_KIND)
    images = photographs(real_data, pairs.names)
    write_bin(folder / "lfw.bin", images, pairs)
    write_csv_folder(folder / "faces", images, pairs)
    write_ijb(folder / "IJBC", images)
    return folder


@pytest.fixture(scope="module")
def arcface(tiny_facenet, tmp_path_factory):
    """A small network that takes 112x112."""
    model = onnx.ModelProto.FromString(tiny_facenet.SerializeToString())
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 112
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(model, path)
    return path


def testsets(sets, *arguments, **environment):
    return lfw_eval("testsets", *arguments, cwd=sets, LFW_EVAL_DATASETS=str(sets), **environment)


testsets.__test__ = False


def tiny(arcface, tmp_path):
    arguments = "--checkpoint", arcface, "--normalisation", "arcface", "--bs", "16"
    return arguments, {"LFW_EVAL_CHECKPOINTS": str(tmp_path)}


@pytest.fixture(scope="module")
def checkpoints(facenet, mtcnn_weights, tmp_path_factory):
    """A root with MTCNN's weights, where engines are built anew."""
    root = tmp_path_factory.mktemp("checkpoints")
    for path in mtcnn_weights.values():
        (root / path.name).symlink_to(path)
    return root


@pytest.fixture(scope="module")
def int8_run(sets, arcface, checkpoints):
    arguments, environment = tiny(arcface, checkpoints)
    run = testsets(sets, "lfw.bin", "faces", "IJBC", *arguments, **environment)
    return run, sets / "results" / "testsets-tiny-openvino-int8-lfw-bin-faces-ijbc-table.json"


def test_one_table_over_all_kinds_of_sets(int8_run, sets):
    run, path = int8_run
    assert run.returncode == 0, run.stderr
    content = json.loads(path.read_text())
    assert content["kind"] == "testsets"
    rows = {row["name"]: row for row in content["result"]["rows"]}
    assert list(rows) == ["lfw-bin", "faces", "ijbc"]
    assert [row["pairs"] for row in rows.values()][:2] == [120, 120]
    assert rows["lfw-bin"]["alignment"] == "already aligned, at most resized, 112x112"
    assert rows["faces"]["alignment"].startswith("five points of MTCNN, 112x112")
    assert rows["ijbc"]["alignment"].startswith("five points of ijbc_name_5pts_score.txt")
    assert rows["ijbc"]["reference"]["accuracy"] is None
    assert rows["ijbc"]["reference"]["far_target"] == 1e-4
    assert rows["lfw-bin"]["reference"]["far_target"] == 1e-3
    assert all(0 <= row["candidate"]["eer"] <= 1 for row in rows.values())
    assert not any(row["caution"] for row in rows.values())
    assert content["result"]["calibration"]["evaluated"]
    assert "OF THEM ARE ALSO EVALUATED ***" in run.stdout
    for row in rows.values():
        assert row["name"] in run.stdout
        assert f"{row['reference']['eer']:.5f}" in run.stdout
    assert all(len(line) <= 100 for line in run.stdout.splitlines()[:12])


def test_the_folder_has_what_the_bin_has(int8_run, sets):
    """The same pairs, aligned by the same five points; only JPEG has been in between."""
    _, path = int8_run
    rows = json.loads(path.read_text())["result"]["rows"]
    assert rows[1]["reference"]["auc"] == pytest.approx(rows[0]["reference"]["auc"], abs=0.02)


def test_results_of_the_sets(int8_run, sets):
    _, path = int8_run
    folder = path.with_suffix("")
    packed, loose = (read_result(folder / f"{name}.json").result for name in ("lfw-bin", "faces"))
    assert packed.candidate.engine.key == loose.candidate.engine.key, "one engine for all sets"
    assert packed.calibration.evaluated > 0
    assert loose.calibration.evaluated == 0
    assert "of insightface's lfw.bin" in loose.calibration.origin
    run = lfw_eval("gate", folder / "lfw-bin.json", cwd=sets)
    assert "ACC" in run.stdout
    templates = json.loads((folder / "ijbc.json").read_text())
    assert templates["kind"] == "templates"
    rates = templates["result"]["candidate"]["verification"]["val"]
    assert [rate["far_target"] for rate in rates] == [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    arrays = np.load(folder / "ijbc.npz")
    assert arrays["reference.verification.roc.far"][-1] == 1
    for table in (path, folder / "ijbc.json"):
        run = lfw_eval("gate", table, cwd=sets)
        assert "gate, report and history take results of evaluate" in refused(run)


def test_a_set_that_fails_does_not_hide_the_others(sets, arcface, checkpoints, tmp_path):
    broken = tmp_path / "faces"
    (broken / "a").mkdir(parents=True)
    for source in sorted((sets / "faces").rglob("*.jpg"))[:8]:
        (broken / "a" / source.name).write_bytes(source.read_bytes())
    names = sorted(path.stem for path in broken.rglob("*.jpg"))
    rows = [f"{a},{b},{int(i % 2)}" for i, (a, b) in enumerate(pairwise(names))]
    (broken / "pairs.csv").write_text("\n".join(rows))
    (broken / "a" / f"{names[3]}.jpg").write_bytes(b"\xff\xd8 cut off")
    arguments, environment = tiny(arcface, checkpoints)
    output = "--output", tmp_path / "table.json"
    arguments = *arguments, *output, "--precision", "fp32"
    run = testsets(sets, "lfw.bin", broken, *arguments, **environment)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert f"*** faces FAILED: {broken / 'a' / names[3]}.jpg is corrupt or truncated" in run.stdout
    assert "lfw-bin" in run.stdout
    (failed,) = json.loads((tmp_path / "table.json").read_text())["result"]["failed"]
    assert failed["name"] == "faces"
    run = testsets(sets, broken, *arguments, **environment)
    assert "none of the sets could be evaluated: faces: " in refused(run)


def test_mistakes_are_told_before_anything_starts(sets, tmp_path):
    for arguments, why in (
        (("lfw.bin", "nowhere"), "the data set nowhere does not exist"),
        (("lfw.bin", "IJBC/meta"), "no image"),
        (("lfw.bin", "--calibrate-on", "nowhere"), "nowhere does not exist"),
        (("lfw.bin", "--output", "table.csv"), "must end in .json"),
        (("lfw.bin", "--align", "none", "--boxes", "x.csv"), "--boxes does not go with --align"),
        (("lfw.bin", "--engine", "onnxruntime", "--precision", "fp16"), "has no fp16"),
    ):
        run = testsets(sets, *arguments)
        assert why in refused(run), arguments
        assert "(1 of" not in run.stderr
    assert testsets(sets).returncode == 2


def test_facenet_on_a_bin(sets, facenet, tmp_path):
    """evaluate takes a .bin as it is: resized to 160, and says so."""
    run = lfw_eval(
        "evaluate", "--dataset", sets / "lfw.bin", "--precision", "fp32",
        "--output", tmp_path / "result.json", cwd=tmp_path, LFW_EVAL_DATASETS=str(tmp_path),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "resized; this network was trained on other crops" in run.stdout
    result = read_result(tmp_path / "result.json").result
    assert result.reference.verification.accuracy.value > 0.93
    assert result.data.undetected == 0
