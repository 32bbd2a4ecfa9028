"""Result files: what is written is read back, and what was tampered with is not."""

import dataclasses
import json

import numpy as np
import pytest
from evaluation_results import REFINEMENT, accuracy_result, detection_report, speed_result

from lfw_eval.metrics.verification.protocol import evaluate_distances
from lfw_eval.results.codec import arrays_of, plain
from lfw_eval.results.file import read_result, save_result
from lfw_eval.results.upgrade import SCHEMA
from lfw_eval.system.errors import UserError


@pytest.fixture(scope="module")
def result():
    return accuracy_result(200)


@pytest.fixture
def path(result, tmp_path):
    save_result(result, tmp_path / "r.json")
    return tmp_path / "r.json"


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_round_trip(path, result):
    read = read_result(path)
    assert plain(read.result) == plain(result)
    before, after = dict(arrays_of(result)), dict(arrays_of(read.result))
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
        assert after[name].dtype == array.dtype
    assert read.environment.command.startswith("lfw-eval")


def test_round_trip_of_a_refinement(result, tmp_path):
    assert result.calibration
    refined = dataclasses.replace(
        result, calibration=dataclasses.replace(result.calibration, refinement=REFINEMENT)
    )
    save_result(refined, tmp_path / "refined.json")
    assert read_result(tmp_path / "refined.json").result.calibration.refinement == REFINEMENT


def test_equal_results_are_equal_files(result, tmp_path):
    for name in ("a", "b"):
        save_result(result, tmp_path / f"{name}.json")
    contents = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("a", "b")]
    assert contents[0]["arrays_sha256"] == contents[1]["arrays_sha256"]
    assert contents[0]["result"] == contents[1]["result"]


def test_edited_scores(path):
    beside = path.with_suffix(".npz")
    arrays = dict(np.load(beside))
    arrays["candidate.verification.distances"][0] += 0.1
    np.savez_compressed(beside, **arrays)
    with pytest.raises(UserError, match="its hash differs"):
        read_result(path)


def test_missing_scores(path):
    path.with_suffix(".npz").unlink()
    with pytest.raises(UserError, match=r"r\.npz is missing, which holds the scores of r\.json"):
        read_result(path)


@pytest.mark.parametrize("schema", [1, 2, SCHEMA + 1, "x"])
def test_another_schema(path, schema):
    edit(path, lambda content: content.update(schema=schema))
    with pytest.raises(UserError, match=f"has schema {schema!r}, and this version reads"):
        read_result(path)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.99", True, [1]])
def test_a_metric_that_is_no_number(path, value):
    def change(content):
        content["result"]["candidate"]["verification"]["accuracy"]["value"] = value

    edit(path, change)
    with pytest.raises(UserError, match=r"is damaged: .*; rerun the command"):
        read_result(path)


@pytest.mark.parametrize("metric", ["accuracy", "auc", "eer", "val"])
def test_an_edited_metric(path, metric):
    def change(content):
        content["result"]["candidate"]["verification"][metric]["value"] += 0.0005

    edit(path, change)
    with pytest.raises(
        UserError, match=r"of int8 is .*, but its scores give .*; rerun the command"
    ):
        read_result(path)


EDITS = {
    "precision": lambda r: r["candidate"]["engine"].update(precision="fp16"),
    "load": lambda r: r["speed"]["load"].update(others=0.0),
    "cached": lambda r: r["reference"].update(from_cache=True),
    "network": lambda r: r["model"].update(onnx_sha256="other"),
    "crops": lambda r: r["data"].update(crops_sha256="other"),
    "caution": lambda r: r["data"].update(caution="stand-in"),
    "scales": lambda r: r["calibration"]["amax"].update(input=2.5),
    "evaluated": lambda r: r["calibration"].update(evaluated=1),
    "p": lambda r: r["comparison"].update(p_value=0.5),
    "cosine": lambda r: r["cosine"].update(value=1.0),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_no_score_contradicts_is_known_by_the_hash(path, name):
    edit(path, lambda content: EDITS[name](content["result"]))
    with pytest.raises(UserError, match="was edited after it was written: its content_sha256"):
        read_result(path)


@pytest.mark.parametrize("part", ["time", "git", "command", "cpu"])
def test_an_edited_environment(path, part):
    edit(path, lambda content: content["environment"].update({part: "2030-01-01T00:00:00+00:00"}))
    with pytest.raises(UserError, match="was edited"):
        read_result(path)


def test_a_removed_hash(path):
    edit(path, lambda content: content.pop("content_sha256"))
    with pytest.raises(UserError, match="was edited"):
        read_result(path)


def test_another_layout_is_no_edit(path, result):
    content = json.loads(path.read_text())
    content["result"]["reference"]["fps"] = int(content["result"]["reference"]["fps"])
    path.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\r\n")
    assert plain(read_result(path).result) == plain(result)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pairs": 100}, "100 pairs are stated, but fp32 has 200"),
        ({"folds": 5}, "5 folds are stated, but fp32 has 10"),
        ({"images": 300}, "the right images of the pairs are not 200 of 300 images"),
    ],
)
def test_an_edited_count(path, change, sentence):
    edit(path, lambda content: content["result"]["data"].update(change))
    with pytest.raises(UserError, match=sentence):
        read_result(path)


def test_runs_of_different_pairs(result, tmp_path):
    other = accuracy_result(200, seed=1).reference
    genuine = other.verification.genuine.copy()
    genuine[:2] = genuine[1::-1]
    run = evaluate_distances(
        np.tile(other.verification.distances, (10, 1)), genuine, other.verification.fold
    )
    reference = dataclasses.replace(other, verification=run)
    save_result(dataclasses.replace(result, reference=reference), tmp_path / "x.json")
    with pytest.raises(UserError, match="reference and candidate have different pairs"):
        read_result(tmp_path / "x.json")


def test_an_edited_ap(tmp_path):
    save_result(detection_report(5, 20), tmp_path / "d.json")
    assert read_result(tmp_path / "d.json").result.asked.overall.value < 1

    def change(content):
        content["result"]["results"]["integrate"]["overall"]["value"] += 0.01

    edit(tmp_path / "d.json", change)
    with pytest.raises(UserError, match="its detections give"):
        read_result(tmp_path / "d.json")


def test_detections_are_stored_once(tmp_path):
    report = detection_report(5, 20)
    reports = (report, detection_report(9, 20))
    save_result(dataclasses.replace(accuracy_result(100), detection=reports), tmp_path / "a.json")
    names = [name for name in np.load(tmp_path / "a.npz") if name.startswith("detection.")]
    assert all(".results.integrate.overall." in name for name in names)
    assert len(names) == 2 * len([*arrays_of(report.asked.overall)])
    read = read_result(tmp_path / "a.json").result.detection
    for saved, loaded in zip(reports, read, strict=True):
        before, after = saved.asked.overall.outcomes, loaded.asked.overall.outcomes
        np.testing.assert_array_equal(after.boxes, before.boxes)


def test_scores_that_are_nan(result, tmp_path):
    assert result.candidate
    distances = result.candidate.verification.distances.copy()
    distances[3] = np.nan
    outcome = dataclasses.replace(result.candidate.verification, distances=distances)
    run = dataclasses.replace(result.candidate, verification=outcome)
    save_result(dataclasses.replace(result, candidate=run), tmp_path / "n.json")
    with pytest.raises(UserError, match=r"distances has a value that is NaN"):
        read_result(tmp_path / "n.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema": 4}', b"\xff\xfe", b"3"])
def test_no_result_file(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a result file"):
        read_result(path)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_result(tmp_path / "x.json")


@pytest.mark.parametrize("name", ["data", "reference", "pairs", "protocol"])
def test_a_part_is_missing(path, name):
    edit(path, lambda content: content["result"].pop(name))
    with pytest.raises(UserError, match=f"is damaged: {name} is null"):
        read_result(path)


@pytest.mark.parametrize("run", ["reference", "candidate"])
def test_an_edited_fps(path, run):
    edit(path, lambda content: content["result"][run].update(fps=999.0))
    with pytest.raises(UserError, match=r"FPS of .* is 999\.0, but its windows give"):
        read_result(path)


def test_an_edited_speedup(path):
    edit(path, lambda content: content["result"]["speed"]["ratio"].update(value=7.9))
    with pytest.raises(UserError, match=r"the ratio of FPS is 7\.9, but its windows give another"):
        read_result(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda speed: speed.update(end_to_end_fps=1e6), "end_to_end_fps of openvino int8"),
        (lambda speed: speed.update(engine_fps=1e6), "engine_fps of openvino int8 at batch 64"),
        (lambda speed: speed["windows"]["end_to_end"].update(interval=[1, 2]), "its windows give"),
        (lambda speed: speed["windows"]["engine"].update(windows=[]), "has no windows"),
    ],
)
def test_an_edited_benchmark(tmp_path, change, sentence):
    save_result(speed_result(100), tmp_path / "s.json")
    assert plain(read_result(tmp_path / "s.json").result) == plain(speed_result(100))
    edit(tmp_path / "s.json", lambda c: change(c["result"]["engines"][1]["speeds"][1]))
    with pytest.raises(UserError, match=sentence):
        read_result(tmp_path / "s.json")
