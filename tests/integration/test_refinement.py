"""Refinement of a real network on real faces, through the command, in every form that it writes."""

from pathlib import Path

import pytest
from command import lfw_eval, refused

from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.file import read_result

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network(real_data, mtcnn_weights):
    path = real_data / "mobilefacenet_mx_112.onnx"
    if not path.is_file():
        pytest.skip(f"MobileFaceNet is not at {path}")
    return path


@pytest.fixture(scope="module")
def written(network, tmp_path_factory) -> dict[str, Path]:
    """What `calibrate --refine` prints that it wrote, by name."""
    folder = tmp_path_factory.mktemp("refined")
    run = lfw_eval("calibrate", "celebrities", "--checkpoint", network, "--refine", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "steps are fitted on the other" in run.stdout
    paths = [Path(line) for line in run.stdout.splitlines() if line.startswith("/")]
    return {path.name: path for path in paths}


def evaluated(folder: Path, *options: object) -> AccuracyResult:
    path = folder / "result.json"
    run = lfw_eval("evaluate", "celebrities", *options, "--seconds", 0, "-o", path, cwd=folder)
    assert run.returncode == 0, run.stderr
    result = read_result(path).result
    assert isinstance(result, AccuracyResult) and result.cosine
    return result


def test_every_form_is_the_same_int8_network_and_nearer_to_fp32(network, written, tmp_path):
    plain = evaluated(tmp_path, "--checkpoint", network)
    refined = evaluated(tmp_path, "--checkpoint", network, "--refine")
    assert refined.cosine.value > plain.cosine.value
    assert refined.cosine.minimum > plain.cosine.minimum
    assert refined.model == plain.model, "FP32 stays the checkpoint's"
    assert refined.judged.engine.title == "INT8 refined"
    assert refined.judged.engine.executed.share("int8") == 1
    assert refined.calibration.list_sha256 == plain.calibration.list_sha256
    assert refined.calibration.refinement.calibrated_sha256 == plain.calibration.table_sha256
    signed = evaluated(
        tmp_path, "--checkpoint", network, "--candidate", written["fp32-refined.onnx"],
        "--precision", "int8", "--calibration-cache", written["trt-8601-entropy-refined.cache"],
    )  # fmt: skip
    for name, other in (
        ("int8-entropy-refined-qdq-unsigned.onnx", refined),
        ("int8-entropy-refined-qdq.onnx", signed),
        ("int8-entropy-refined-qdq-float-weights.onnx", signed),
    ):
        own = evaluated(tmp_path, "--checkpoint", network, "--candidate", written[name])
        # Kernels of the same INT8 network may add in another order.
        assert own.cosine.value == pytest.approx(other.cosine.value, abs=1e-4), name


def test_the_equalised_network_computes_what_the_checkpoint_does(network, written, tmp_path):
    equalised = written["fp32-equalised.onnx"]
    result = evaluated(
        tmp_path, "--checkpoint", network, "--candidate", equalised, "--precision", "fp32"
    )
    assert result.cosine.minimum > 1 - 1e-6


def test_neither_network_takes_the_cache_of_the_other(network, written, tmp_path):
    cache = written["trt-8601-entropy-refined.cache"]
    own = lfw_eval("cache", "check", cache, written["fp32-refined.onnx"], cwd=tmp_path)
    assert own.returncode == 0 and "every tensor of the network has a scale" in own.stdout
    other = lfw_eval("cache", "check", cache, network, cwd=tmp_path)
    assert other.returncode == 1 and "IT BELONGS TO ANOTHER NETWORK" in other.stdout
    options = ("--checkpoint", network, "--calibration-cache", cache)
    sentence = refused(lfw_eval("evaluate", "celebrities", *options, cwd=tmp_path))
    assert "is of another network" in sentence


def test_inspect_and_doctor_know_them(written, tmp_path):
    run = lfw_eval("inspect", written["fp32-refined.onnx"], cwd=tmp_path)
    assert "refined       by equalisation" in run.stdout
    assert "scale table by entropy-refined" in lfw_eval("doctor", cwd=tmp_path).stdout


def test_what_does_not_go_with_it(network, written, tmp_path):
    """Each is one sentence, before anything long begins."""

    def said(*options: object) -> str:
        run = lfw_eval("evaluate", "celebrities", "--refine", *options, cwd=tmp_path)
        return refused(run)

    own = ("--checkpoint", network)
    assert "--refine is for --precision int8, not fp16" in said(*own, "--precision", "fp16")
    cache = written["trt-8601-entropy-refined.cache"]
    assert "scales of this engine come from elsewhere" in said(*own, "--calibration-cache", cache)
    quantised = ("--checkpoint", written["int8-entropy-refined-qdq.onnx"])
    assert "is already quantised (Q/DQ), so it cannot be refined" in said(*quantised)
    again = lfw_eval(
        "evaluate", "celebrities", "--checkpoint", written["fp32-refined.onnx"], "--refine",
        cwd=tmp_path,
    )  # fmt: skip
    assert "fp32-refined was refined already, by equalisation" in again.stderr
    assert again.returncode == 2 and "Traceback" not in again.stderr
