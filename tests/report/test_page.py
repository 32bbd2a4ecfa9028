"""The report: what stands on the page, and its figures as files."""

import base64
import html
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_results import BUSY, REFINEMENT
from face_data import jpeg
from report_inputs import MODEL, Evaluated, calibrated, detected, saved, speeds, write_store

from lfw_eval.cli.report import report_command
from lfw_eval.datasets.crop_store import find_crop_store
from lfw_eval.gate.rules import DEFAULT
from lfw_eval.metrics.verification.roc import roc
from lfw_eval.report.page.contents import contents_of
from lfw_eval.report.page.curves import visible
from lfw_eval.report.page.faces import FaceOptions
from lfw_eval.report.page.palette import CURVES, DARK, LIGHT, styles
from lfw_eval.report.significance import against_chance
from lfw_eval.results.file import read_result
from lfw_eval.system.errors import UserError

alt = pytest.importorskip("altair")

SPECS = '<script type="application/json" id="specs">'
HOSTILE = "</script><script>alert(1)</script>"


def reported(paths: list[Path], folder: Path, **options: object) -> str:
    """The page, without the library that draws."""
    report_command(paths, folder / "report.html", **options)
    page = (folder / "report.html").read_text()
    before, specs = page.split(SPECS)
    return before + SPECS + specs.split("</script>")[0]


def text_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def specs_of(page: str) -> dict[str, dict]:
    return json.loads(page.split(SPECS)[1])


def test_a_reference_near_chance_is_said(roots: Path) -> None:
    evaluated = Evaluated()
    good, said = evaluated.result("int8"), "FP32 hardly tells people apart"
    assert good.reference.verification.auc.value > 0.9
    assert said not in reported(saved(roots, good=good), roots)
    evaluated.exact = np.random.default_rng(1).normal(size=evaluated.exact.shape)
    evaluated.exact += 0.5 * evaluated.centres
    page = reported(saved(roots, weak=evaluated.result("int8")), roots)
    assert page.count(said) == 1


def test_what_is_seen_first(roots: Path) -> None:
    evaluated = Evaluated()
    int8 = evaluated.result("int8")
    page = reported(saved(roots, int8=int8, fp16=evaluated.result("fp16")), roots)
    first = text_of(page.split("Curves</h2>")[0])
    comparison = int8.comparison
    changed = comparison.right_to_wrong + comparison.wrong_to_right
    assert changed
    assert "Did FP16 or INT8 cost accuracy" in first
    assert (
        f"INT8 decides {changed} of 400 pairs differently from FP32 "
        f"({comparison.wrong_to_right} better, {comparison.right_to_wrong} worse)" in first
    )
    change = comparison.accuracy_change
    assert f"; ACC changes by {change.value:+.5f}, {against_chance(change.p_value)}." in first
    assert "4.0 times as fast as FP32" in first
    assert re.search("INT8 [✓✕?] (passed|regressed|cannot tell)", first)
    for run in (int8.reference, int8.candidate):
        assert f"{run.verification.accuracy.value:.5f}" in first
        assert f"{run.verification.auc.value:.5f}" in first
    assert "3 of them also evaluated" in first
    needed = "FAR 0.001 needs about 3,000 impostor pairs; there are 200"
    assert f"unresolved{needed}" in first.replace(" FAR", "FAR")
    assert f"VAL is not judged: {needed}" in first
    assert f"VAL at FAR 0.001 is unresolved: {needed}" in text_of(page)


@pytest.mark.slow
def test_fp32_of_two_files_is_one_column_and_other_data_a_group_of_their_own(roots: Path) -> None:
    evaluated, other = Evaluated(), Evaluated(crops_sha256="9" * 64)
    paths = saved(
        roots,
        int8=evaluated.result("int8"),
        fp16=evaluated.result("fp16"),
        other=other.result("int8"),
        alone=other.result(None),
    )
    contents = contents_of([read_result(path) for path in paths], FaceOptions(), DEFAULT)
    labels = [[column.label for column in s.group.columns] for s in contents.groups]
    assert labels == [["FP32", "FP16", "INT8"], ["FP32", "INT8"]]
    names = [figure.name for figure in contents.figures]
    assert len(set(names)) == len(names)


@pytest.mark.slow
def test_a_speedup_is_of_engines_in_turn(roots: Path) -> None:
    evaluated = Evaluated()
    timed = saved(roots, timed=evaluated.result("int8", from_cache=True))
    page = text_of(reported(timed, roots))
    assert "4.0 times as fast as FP32" in page
    assert "3.97 to 4.03" in page
    assert "10 windows of each engine in turn" in page
    assert "busy" not in page
    busy = text_of(reported(saved(roots, busy=evaluated.result("int8", load=BUSY)), roots))
    assert "busy when speed was measured: 1.1 of 2 cores taken by other processes" in busy
    cached = saved(roots, cached=evaluated.result("int8", from_cache=True, in_turn=False))
    page = text_of(reported(cached, roots))
    assert "FP32 and this engine were not measured in turn" in page
    assert "times as fast" not in page
    measured = text_of(reported([*cached, *saved(roots, speed=speeds())], roots))
    assert "4.1 times as fast as FP32" in measured
    assert "FP32, ONNX Runtime" in measured


@pytest.mark.slow
def test_a_refined_network_beside_the_calibrated_one(roots: Path) -> None:
    """Each has a column; the page has what steps gained, and the histograms before them."""
    digest = calibrated(roots, study=False)
    evaluated = Evaluated()
    plain = evaluated.result("int8", table=digest)
    assert plain.candidate and plain.calibration
    engine = replace(plain.candidate.engine, key="refined", refinement=REFINEMENT.recipe)
    refinement = replace(REFINEMENT, calibrated_sha256=digest)
    refined = replace(
        plain,
        candidate=replace(plain.candidate, engine=engine),
        calibration=replace(plain.calibration, table_sha256="f" * 64, refinement=refinement),
    )
    page = text_of(reported(saved(roots, plain=plain, refined=refined), roots))
    assert "INT8 refined" in page
    assert "Refined by equalisation, scale search: embeddings of INT8 against FP32" in page
    assert "bias correction, undone: no gain 0.99701 0.99000 22.1" in page
    assert "Sensitivity and histograms are of the network before it was refined." in page
    assert f"refined network {'a' * 64}" in page
    assert "The histograms are not on this machine" not in page


def test_names_are_text(roots: Path) -> None:
    names = sorted(f"{HOSTILE}_{row:04}" for row in range(200))
    evaluated = Evaluated(crops_sha256=write_store(roots / "datasets", names))
    result = evaluated.result("int8")
    hostile = replace(
        result,
        data=replace(result.data, title=HOSTILE),
        model=replace(MODEL, name=HOSTILE),
        candidate=replace(
            result.candidate,
            engine=replace(result.candidate.engine, runtime=HOSTILE, precision=HOSTILE),
        ),
    )
    page = reported(saved(roots, hostile=hostile), roots)
    assert "<script>alert" not in page
    assert "&lt;/script&gt;" in page
    assert "</" not in page.split(SPECS)[1]


def test_faces_and_names_are_shown(roots: Path) -> None:
    names = [f"Ann_Lee_{row:04}" for row in range(200)]
    evaluated = Evaluated(crops_sha256=write_store(roots / "datasets", names))
    page = reported(saved(roots, result=evaluated.result("int8")), roots)
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert pictures
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), 1)
    assert decoded.shape == (96, 96, 3)
    assert "Face: Ann Lee 0" in page
    assert "not on this machine: no crop store" not in page


@pytest.mark.slow
def test_faces_and_names_are_left_out(roots: Path) -> None:
    names = [f"Ann_Lee_{row:04}" for row in range(200)]
    evaluated = Evaluated(crops_sha256=write_store(roots / "datasets", names))
    paths = saved(roots, result=evaluated.result("int8"), faces=detected(roots))
    page = reported(paths, roots, anonymous=True)
    assert "data:image" not in page
    assert not re.search("Ann.Lee", page)
    assert "img_" not in page
    assert "Pair " in text_of(page)


def test_missing_faces_are_one_sentence(roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = text_of(reported(saved(roots, result=Evaluated().result("int8")), roots))
    said = capsys.readouterr().err
    for output in (page, said):
        assert "The faces are not on this machine" in output
        assert "lfw-eval prepare" in output
        assert "lfw-eval calibrate" in output


def test_faces_that_a_gpu_aligned_are_remade_there(roots: Path) -> None:
    result = Evaluated().result("int8")
    for device, on_gpu in (("NVIDIA H200, TensorRT 1", True), ("CPU, OpenVINO 1", False)):
        data = replace(result.data, alignment="MTCNN", aligned_on=device)
        page = text_of(reported(saved(roots, result=replace(result, data=data)), roots))
        assert f"MTCNN on {device}; no face detected" in page
        assert ("--align-on gpu" in page) == on_gpu


def test_find_crop_store(roots: Path) -> None:
    digest = write_store(roots / "datasets", ["a", "b"])
    assert find_crop_store(digest).names == ("a", "b")
    assert find_crop_store("0" * 64) is None


def test_changed_pairs_are_those_that_changed(roots: Path) -> None:
    result = Evaluated().result("int8")
    paths = saved(roots, result=result)
    section = contents_of([read_result(path) for path in paths], FaceOptions(), DEFAULT).groups[0]
    before, now = result.reference.verification, result.candidate.verification
    changed = set(np.flatnonzero(before.decisions != now.decisions) + 1)
    assert section.changed.total == len(changed)
    assert {pair.number for pair in section.changed.shown} <= changed
    assert len(section.changed.shown) == min(len(changed), 24)
    accepted = np.flatnonzero(now.decisions & ~now.genuine)
    margins = {
        row + 1: now.distances[row] - now.accuracy.thresholds[now.fold[row]] for row in accepted
    }
    shown = [margins[pair.number] for pair in section.false_accepts.shown]
    assert shown == sorted(margins.values())[:12]


@pytest.mark.slow
def test_nothing_changed(roots: Path) -> None:
    page = text_of(reported(saved(roots, result=Evaluated().result("fp32")), roots))
    assert "FP32 (2) decides" not in page
    assert "decides all 400 pairs as FP32 does" in page
    assert "None: every pair is decided as by FP32" in page


@pytest.mark.slow
@pytest.mark.parametrize("study", [True, False])
def test_calibration(roots: Path, study: bool) -> None:
    digest = calibrated(roots, study=study)
    page = reported(saved(roots, result=Evaluated().result("int8", table=digest)), roots)
    specs = specs_of(page)
    assert sum("histogram" in name for name in specs) == 6
    assert ("sensitivity" in specs) == study
    assert ("calibrate --sensitivity" in text_of(page)) != study
    *bins, end = specs["histogram-1"]["layer"][0]["data"]["values"]
    assert len(bins) <= 256
    assert end["values"] == bins[-1]["values"]
    assert "threshold 2.5" in json.dumps(specs["histogram-1"])


def test_detection(roots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = saved(roots, faces=detected(roots))
    folder = roots / "images"
    options = {"faces": folder, "annotations": folder / "annotations.json"}
    page = reported(paths, roots, **options)
    assert "precision-recall" in specs_of(page)
    assert "1 found, 0 missed, 0 false" in text_of(page)
    assert "0 found, 1 missed, 1 false" in text_of(page)
    assert "--faces" in text_of(reported(paths, roots))
    (folder / "img_2.jpg").write_bytes(jpeg(red=20))
    assert "since yunet was not evaluated on the images" in text_of(
        reported(paths, roots, **options)
    )
    assert "since yunet was not evaluated on the images" in capsys.readouterr().err


def test_speed_alone(roots: Path) -> None:
    page = reported(saved(roots, speed=speeds()), roots)
    assert {"fps", "latency"} == specs_of(page).keys()
    assert "INT8 is 4.1 times as fast as FP32" in text_of(page)


@pytest.mark.slow
def test_how_to_reproduce(roots: Path) -> None:
    result = Evaluated().result("int8")
    paths = saved(roots, result=result)
    page = text_of(reported(paths, roots))
    for digest in (
        read_result(paths[0]).sha256,
        *(result.data.photographs_digest, result.data.pairs_digest, result.data.crops_sha256),
        *(result.calibration.list_sha256, result.calibration.table_sha256),
        *(MODEL.source_sha256, MODEL.onnx_sha256),
    ):
        assert digest in page
    assert read_result(paths[0]).environment.command in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "start"),
    [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF"), ("csv", b"run,")],
)
def test_figures_as_files(roots: Path, form: str, start: bytes) -> None:
    paths = saved(roots, result=Evaluated().result("int8"), speed=speeds())
    report_command(paths, roots / "figures", form)
    written = {path.name for path in (roots / "figures").iterdir()}
    names = ("roc", "det", "scores", "folds", "fps", "latency")
    assert written == {f"{name}.{form}" for name in names}
    assert all(path.read_bytes().startswith(start) for path in (roots / "figures").iterdir())


@pytest.mark.slow
def test_charts_follow_the_schema(roots: Path) -> None:
    digest = calibrated(roots, study=True)
    results = {"a": Evaluated().result("int8", table=digest), "b": speeds(), "c": detected(roots)}
    files = [read_result(path) for path in saved(roots, **results)]
    figures = contents_of(files, FaceOptions(), DEFAULT).figures
    assert len(figures) == 14
    for figure in figures:
        figure.chart.to_dict(validate=True)
        assert figure.finding
        assert figure.csv().count("\n") == len(figure.rows) + 1


def test_every_colour_is_seen_on_both_grounds() -> None:
    for theme in (LIGHT, DARK):
        for colour in CURVES:
            assert contrast(colour, theme.background) >= 3
        for ground in (theme.background, theme.panel):
            for colour in (theme.text, theme.muted, theme.link):
                assert contrast(colour, ground) >= 4.5
            for colour in (theme.passed, theme.regressed, theme.doubtful):
                assert contrast(colour, ground) >= 4.5


def test_the_colour_blind_tell_the_precisions_apart() -> None:
    # Deuteranopia and protanopia, Viénot, Brettel and Mollon (1999), in linear RGB.
    views = (
        np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
        np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    )
    first = [styles(["FP32", "FP16", "INT8"])[name].colour for name in ("FP32", "FP16", "INT8")]
    for view in views:
        for left, right in combinations(first, 2):
            a, b = (
                np.array([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2
                for c in (left, right)
            )
            seen = np.abs((view @ a).clip(0) ** (1 / 2.2) - (view @ b).clip(0) ** (1 / 2.2))
            assert seen.max() > 0.2
    looks = styles([f"run {n}" for n in range(12)])
    assert len({(style.colour, style.dash) for style in looks.values()}) == 12


def test_steps_that_can_be_seen_are_kept() -> None:
    outcome = Evaluated().run("int8").verification
    curve = roc(outcome.distances, outcome.genuine)
    far, tar = np.maximum(curve.far, 0.001), curve.tar
    rows = visible(far, tar, logarithmic=True)
    few = far < 0.05
    assert set(np.unique(far[few])) == set(np.unique(far[rows][far[rows] < 0.05]))
    many = np.linspace(0, 1, 10**6)
    assert len(visible(many, many, logarithmic=False)) <= 2000


def test_bad_input_is_one_sentence(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = saved(roots, result=Evaluated().result("int8"))
    for arguments, said in (
        ({"output": roots / "report.pdf"}, "must end in .html"),
        ({"output": path, "form": "svg"}, "is a file"),
        ({"anonymous": True, "faces": roots}, "one of the two"),
        ({"faces": roots}, "none of the results"),
        ({"annotations": roots}, "--faces"),
        ({"output": Path("/proc/nowhere/report.html")}, "cannot be written"),
    ):
        with pytest.raises(UserError, match=said):
            report_command([path], **{"output": roots / "report.html", **arguments})
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "schema": 1}))
    with pytest.raises(UserError, match="schema 1"):
        report_command([path], roots / "report.html")
    assert not (roots / "report.html").exists()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda m: None if m == "altair" else find(m))
    with pytest.raises(UserError, match=r"pip install 'lfw-eval\[report\]'"):
        report_command([path], roots / "report.html")


def test_edited_scores_are_refused(roots: Path) -> None:
    (path,) = saved(roots, result=Evaluated().result("int8"))
    (other,) = saved(roots, other=Evaluated(pairs=420).result("int8"))
    shutil.copy(other.with_suffix(".npz"), path.with_suffix(".npz"))
    with pytest.raises(UserError, match="hash differs"):
        report_command([path], roots / "report.html")


@pytest.mark.slow
def test_the_page_fetches_nothing(roots: Path) -> None:
    page = reported(saved(roots, result=Evaluated().result("int8")), roots)
    assert "default-src 'none'" in page
    assert not re.search(r'<(script|img|link|iframe)[^>]+(src|href)="(?!data:)', page)


@pytest.mark.slow
def test_other_commands_do_without_the_extra() -> None:
    code = (
        "import sys, lfw_eval.cli.report as r;"
        "assert not {'altair', 'vl_convert', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_altair_is_the_one_that_vl_convert_knows() -> None:
    from lfw_eval.report.page.vega import VEGA_LITE

    assert alt.SCHEMA_VERSION.startswith(f"v{VEGA_LITE}")


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours (#rrggbb), 1 to 21, as WCAG 2.1 defines it.

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
