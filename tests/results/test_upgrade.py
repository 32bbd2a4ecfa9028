"""Results of earlier schemas, which this version writes no more, are still read."""

import json
import shutil

import numpy as np
import pytest
from command import REPOSITORY
from evaluation_results import detection_report, speed_result

from lfw_eval.metrics.verification.comparison import Comparison
from lfw_eval.results.codec import plain, typed
from lfw_eval.results.file import read_result, save_result
from lfw_eval.results.upgrade import upgrade

BASELINES = sorted((REPOSITORY / "benchmarks" / "baselines").glob("*.json"))
REMARKS = {
    "": "",
    "stand-in": "This is NOT LFW: 118 photographs of five people, for want of LFW. It shows that "
    "the pipeline works; its accuracy cannot be compared with published numbers.",
    "resized": "The crops were aligned for ArcFace's networks, of 112x112, and are resized to "
    "160x160: this network was trained on other crops; its numbers compare precisions, not "
    "networks.",
}


@pytest.mark.parametrize("caution", REMARKS)
@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.stem)
def test_the_baselines_as_they_were_in_schema_3(path, caution, tmp_path):
    shutil.copy(path.with_suffix(".npz"), tmp_path)
    written = tmp_path / path.name
    content = json.loads(path.read_text())
    result = content["result"]
    to_schema_4(content)
    result["data"]["caution"] = caution
    written.write_text(json.dumps(content))
    before = read_result(written).result
    today = read_result(path).result
    assert before.data.caution == caution
    assert before.judged.verification.accuracy == today.judged.verification.accuracy
    assert before.comparison.mcnemar_p == today.comparison.mcnemar_p

    content["schema"] = 3
    result["data"]["remark"] = REMARKS[result["data"].pop("caution")]
    for name in ("reference", "candidate"):
        result[name]["kept"] = result[name].pop("from_cache")
    written.write_text(json.dumps(content))
    # Compared as text: NaN stands for what older files do not say.
    assert repr(plain(read_result(written).result)) == repr(plain(before))


def to_schema_4(content: dict) -> None:
    """Take out of a result file what schema 5 brought, in place."""
    content["schema"] = 4
    del content["content_sha256"]
    result = content["result"]
    del result["candidate_model"], result["speed"]
    comparison = result["comparison"]
    comparison["p_value"] = comparison.pop("mcnemar_p")
    change = comparison.pop("accuracy_change")
    comparison["accuracy_difference"] = {"value": change["value"], "standard_error": 0.0005}
    for name in ("people", "evaluated_people", "first_batch"):
        del result["calibration"][name]
    for name in ("reference", "candidate"):
        for new in ("executed", "adaptation", "calibration_cache"):
            del result[name]["engine"][new]
        result[name]["verification"]["val"]["interval"] = [0.2, 0.3]


def test_the_networks_of_schema_5():
    """What their graphs do first was not looked at."""
    networks = {"model": {"normalisation": "none"}, "candidate_model": None}
    upgrade(5, "accuracy", networks)
    assert networks["model"] == {"normalisation": "none", "own_normalisation": None}
    upgrade(5, "detection", {})


def test_the_engines_of_schema_6():
    """Nothing was refined."""
    run, calibration = {"engine": {"precision": "int8"}}, {"images": 8}
    upgrade(6, "accuracy", {"reference": run, "candidate": None, "calibration": calibration})
    assert run["engine"] == {"precision": "int8", "refinement": ""}
    assert calibration == {"images": 8, "refinement": None}


def test_the_calibration_of_schema_4():
    calibration = {"images": 8}
    upgrade(4, "accuracy", {"calibration": calibration})
    assert calibration == {
        "images": 8,
        "people": None,
        "evaluated_people": None,
        "first_batch": None,
        "refinement": None,
    }
    upgrade(4, "accuracy", {"calibration": None})


def test_the_comparison_of_schema_4():
    """It has no test of ACC that trains thresholds anew."""
    comparison = {
        "right_to_wrong": 3,
        "wrong_to_right": 1,
        "p_value": 0.625,
        "accuracy_difference": {"value": -0.001, "n": 2000, "standard_error": 0.0005},
    }
    upgrade(4, "accuracy", {"comparison": comparison})
    read = typed(Comparison, comparison, "comparison", {})
    assert (read.right_to_wrong, read.mcnemar_p, read.accuracy_change.value) == (3, 0.625, -0.001)
    assert np.isnan([read.accuracy_change.p_value, *read.accuracy_change.interval]).all()
    assert not read.accuracy_change.method


def test_detection(tmp_path):
    path = tmp_path / "d.json"
    save_result(detection_report(5, 20), path)
    content = json.loads(path.read_text())
    content["schema"] = 3
    content["result"]["detections"] = []
    del content["result"]["clipped"]
    settings = content["result"]["settings"]
    settings["scales"] = "calibrated on 20 images, 6 OF THEM ALSO EVALUATED"
    settings["least score"] = 0.02
    path.write_text(json.dumps(content))
    settings = read_result(path).result.settings
    assert (settings["calibration_images"], settings["calibration_evaluated"]) == (20, 6)
    assert settings["min_score"] == 0.02
    assert not settings.keys() & {"scales", "least score"}
    assert read_result(path).result.clipped is None


def test_scales_of_a_cache():
    settings = {"scales": "scales.cache (sha256 0123456789ab)"}
    upgrade(3, "detection", {"settings": settings})
    assert settings == {
        "calibration_cache": "scales.cache",
        "calibration_cache_sha256": "0123456789ab",
    }


def test_speeds_without_windows(tmp_path):
    path = tmp_path / "s.json"
    save_result(speed_result(100), path)
    content = json.loads(path.read_text())
    content["schema"] = 4
    for measured in content["result"]["engines"]:
        for speed in measured["speeds"]:
            del speed["windows"]
    path.write_text(json.dumps(content))
    result = read_result(path).result
    assert result.judged.speeds[0].end_to_end_fps == pytest.approx(100)
    assert {speed.windows for measured in result.engines for speed in measured.speeds} == {None}
    assert result.beside_reference(result.judged, 64) is None


@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.stem)
def test_the_baselines_have_no_windows(path):
    if json.loads(path.read_text())["schema"] < 5:
        assert read_result(path).result.speed is None
