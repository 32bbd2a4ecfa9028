"""Refinement of a checkpoint: what is written, read again, resumed and refused."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import onnx
import pytest
from command import REPOSITORY

from calibration.quantize import QdqTypes, quantize, quantized_layers
from calibration.refinement.contract import Candidate
from calibration.sampler import CalibrationList
from calibration.scales import ScaleTable
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.engines.choice import EngineChoice
from lfw_eval.pipelines import refinement
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.pipelines.export import export
from lfw_eval.pipelines.refinement import EQUALISED, REFINED, refine
from lfw_eval.pipelines.sensitivity import SensitivityStudy
from lfw_eval.system.errors import UserError

IMAGES = CalibrationList(tuple(f"P{n % 16:02}_{n // 16:04d}" for n in range(64)), "test")


@dataclass(frozen=True)
class Scaled:
    """A step that is quick: it multiplies all thresholds."""

    factor: float
    name: str = "scaling"
    preserving: bool = True

    @property
    def recipe(self) -> str:
        return f"1 {self.factor}"

    def __call__(self, candidate, original, images):
        runs.append(self.name)
        amax = {name: value * self.factor for name, value in candidate.amax.items()}
        return Candidate(candidate.model, amax)


runs: list[str] = []
"""The steps that ran, since a test began."""


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    runs.clear()
    # The calibration of the test is too wide: a tenth is better, a hundredth is not.
    monkeypatch.setattr(refinement, "STEPS", (Scaled(0.1), Scaled(0.01, "too far")))


@pytest.fixture
def checkpoint(tiny_facenet, tmp_path) -> Checkpoint:
    model = tmp_path / "fp32.onnx"
    onnx.save(fold_affine(tiny_facenet), model)
    return Checkpoint("tiny", tmp_path, model, "per-image", "")


@pytest.fixture
def calibrated(checkpoint, crops) -> Calibration:
    calibration = calibrate(checkpoint, crops, IMAGES)
    wide = {name: value * 10 for name, value in calibration.table.amax.items()}
    return replace(calibration, table=replace(calibration.table, amax=wide))


def test_steps_that_gain_are_kept_and_described(checkpoint, calibrated):
    refined = refine(checkpoint, calibrated)
    about = refined.refinement
    assert [(s.name, s.used) for s in about.steps] == [("scaling", True), ("too far", False)]
    assert about.outcome == about.steps[0] and about.recipe == refined.recipe == "scaling"
    assert about.outcome.cosine > about.start.cosine
    assert (about.fitted, about.held_out) == (48, 16)
    assert about.calibrated_sha256 == calibrated.table.digest()
    assert refined.table.method == "entropy-refined"
    assert refined.table.model == about.network_sha256
    for name, value in refined.table.amax.items():
        assert value == pytest.approx(0.1 * calibrated.table.amax[name.removesuffix(".refined")])
    assert not list(refined.output_folder.glob("steps"))


def test_nobody_is_both_fitted_and_held_out(checkpoint, calibrated, crops, monkeypatch):
    seen = []
    before = refinement.refine_network

    def look(original, images, steps, folder):
        seen.append(images)
        return before(original, images, steps, folder)

    monkeypatch.setattr(refinement, "refine_network", look)
    refine(checkpoint, calibrated)
    inputs = refinement.network_inputs(onnx.load(checkpoint.model), "per-image", crops)
    apart = np.arange(64) % 16 % 4 == 3
    assert np.array_equal(seen[0].held_out, inputs[apart])
    assert np.array_equal(seen[0].fitting, inputs[~apart])


def test_an_engine_is_built_of_the_refined_network(checkpoint, calibrated, crops):
    refined = refine(checkpoint, calibrated)
    choice = EngineChoice("onnxruntime", batch_size=8)
    with choice.build(checkpoint, calibrated) as plain, choice.build(checkpoint, refined) as engine:
        outputs = [next(iter(e.run({"crops": crops[:8]}).values())) for e in (plain, engine)]
        assert (plain.refinement, engine.refinement) == ("", "scaling")
    assert not np.array_equal(*outputs)
    request = choice.request(checkpoint, refined)
    assert request.model.name == REFINED and request.scales == refined.table
    # FP32 beside it stays the checkpoint's.
    assert choice.in_precision("fp32").request(checkpoint).model == checkpoint.model


def test_sensitivity_is_to_the_original(checkpoint, calibrated, monkeypatch):
    """Embeddings of a refined network in FP32 are none to compare with."""

    class Smaller(Scaled):
        def __call__(self, candidate, original, images):
            model = onnx.ModelProto.FromString(candidate.model.SerializeToString())
            layer = quantized_layers(model)[-1]
            node = next(node for node in model.graph.node if node.name == layer)
            for tensor in model.graph.initializer:
                if tensor.name == node.input[1]:
                    weights = onnx.numpy_helper.to_array(tensor) * 0.99
                    tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
            return Candidate(model, super().__call__(candidate, original, images).amax)

    monkeypatch.setattr(refinement, "STEPS", (Smaller(0.1, preserving=False),))
    refined = refine(checkpoint, calibrated)
    study = SensitivityStudy.of(checkpoint, refined)
    original = onnx.load(checkpoint.model)
    network = onnx.load(refined.network.model)
    assert study.probe.error(original).cosine == pytest.approx(1)
    assert study.probe.error(original).sqnr > 100
    assert study.probe.error(network).sqnr < 60
    assert study.record.parent == refined.output_folder


def test_read_again(checkpoint, calibrated):
    first = refine(checkpoint, calibrated)
    again = refine(checkpoint, calibrated)
    assert runs == ["scaling", "too far"]
    assert (again.table, again.refinement, again.network) == (
        first.table,
        first.refinement,
        first.network,
    )


def test_another_step_is_another_refinement(checkpoint, calibrated, monkeypatch):
    first = refine(checkpoint, calibrated)
    monkeypatch.setattr(refinement, "STEPS", (Scaled(0.2),))
    second = refine(checkpoint, calibrated)
    assert first.output_folder != second.output_folder and first.table != second.table


@pytest.mark.parametrize(
    "file", ["refinement.json", REFINED, EQUALISED, "scales-entropy-refined.json"]
)
@pytest.mark.parametrize("damage", [b"{}", b"", None])
def test_what_is_damaged_is_made_again(checkpoint, calibrated, file, damage, capsys):
    first = refine(checkpoint, calibrated)
    path = first.output_folder / file
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    again = refine(checkpoint, calibrated)
    assert (again.table, again.refinement) == (first.table, first.refinement)
    said = capsys.readouterr().err
    missing = file == "refinement.json" and damage is None
    assert said.count("making it again") == (not missing)
    assert "Traceback" not in said


def test_resumes_with_the_step_that_was_interrupted(checkpoint, calibrated, monkeypatch):
    whole = refine(checkpoint, calibrated)
    for path in sorted(whole.output_folder.rglob("*")):
        path.unlink()
    runs.clear()

    class Interrupted(Scaled):
        def __call__(self, candidate, original, images):
            if len(runs) == 1:
                raise KeyboardInterrupt
            return super().__call__(candidate, original, images)

    steps = (Interrupted(0.1), Interrupted(0.01, "too far"))
    monkeypatch.setattr(refinement, "STEPS", steps)
    with pytest.raises(KeyboardInterrupt):
        refine(checkpoint, calibrated)
    assert not whole.network.model.exists(), "nothing half-written"
    monkeypatch.setattr(refinement, "STEPS", (Scaled(0.1), Scaled(0.01, "too far")))
    again = refine(checkpoint, calibrated)
    assert runs == ["scaling", "too far"], "no step runs twice"
    assert (again.table, again.refinement) == (whole.table, whole.refinement)


def test_files_for_other_engines(checkpoint, calibrated):
    refined = refine(checkpoint, calibrated)
    written = export(checkpoint, refined, ["8.6.1", "10.3.0"])
    assert [path.name for path in written] == [
        "scales-entropy-refined.json",
        "trt-8601-entropy-refined.cache",
        "trt-100300-entropy-refined.cache",
        "int8-entropy-refined-qdq.onnx",
        "int8-entropy-refined-qdq-fp16.onnx",
        EQUALISED,
        REFINED,
        "int8-entropy-refined-qdq-float-weights.onnx",
        "int8-entropy-refined-qdq-unsigned.onnx",
    ]
    network, table = onnx.load(refined.network.model), ScaleTable.load(written[0])
    for path, types in (
        (written[3], QdqTypes(unsigned=False)),
        (written[7], QdqTypes(unsigned=False, float_weights=True)),
        (written[8], QdqTypes(unsigned=True)),
    ):
        assert onnx.load(path) == quantize(network, table, types)


def test_what_cannot_be_refined(checkpoint, calibrated, tmp_path, crops):
    few = replace(calibrated, crops=lambda: crops[:7])
    with pytest.raises(UserError, match="at least 8 calibration crops, not 7"):
        refine(checkpoint, few)
    with pytest.raises(UserError, match=r"is already quantised .* cannot be refined"):
        refine(replace(checkpoint, quantization="Q/DQ"), calibrated)
    again = refine(checkpoint, calibrated).network
    with pytest.raises(UserError, match="was refined already, by scaling"):
        refine(again, replace(calibrated, folder=tmp_path / "again"))
    model = onnx.load(checkpoint.model)
    model.graph.output.append(onnx.helper.make_tensor_value_info("second", 1, None))
    onnx.save(model, tmp_path / "two.onnx")
    two = replace(checkpoint, model=tmp_path / "two.onnx")
    with pytest.raises(UserError, match="has 2 outputs"):
        refine(two, replace(calibrated, folder=tmp_path / "two"))


@pytest.mark.slow
def test_two_processes_at_once_and_ctrl_c(checkpoint, crops, tmp_path):
    """One refines, the other waits; after Ctrl-C and a kill, a rerun gives the same files."""
    np.save(tmp_path / "crops.npy", crops)
    script = (
        "import numpy as np; from pathlib import Path\n"
        "from calibration.sampler import CalibrationList\n"
        "from lfw_eval.checkpoints.checkpoint import Checkpoint\n"
        "from lfw_eval.pipelines.calibration import calibrate\n"
        "from lfw_eval.pipelines.refinement import refine\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "crops = np.load(folder / 'crops.npy')\n"
        "names = tuple(f'P{n % 16:02}_{n // 16:04d}' for n in range(64))\n"
        "own = Checkpoint('tiny', folder, folder / 'fp32.onnx', 'per-image', '')\n"
        "calibration = calibrate(own, crops, CalibrationList(names, 'test'))\n"
        "print('calibrated', flush=True)\n"
        "print(refine(own, calibration).table.digest())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    for stop in (signal.SIGINT, signal.SIGKILL):
        process = start()
        assert process.stdout and process.stdout.readline() == "calibrated\n"
        process.send_signal(stop)
        process.communicate()
        assert process.returncode
        assert not list(tmp_path.glob(f"calibration-*/*/{REFINED}"))
    processes = [start(), start()]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    digests = {output.splitlines()[-1] for output, _ in outputs}
    assert len(digests) == 1
    assert len(list(tmp_path.glob(f"calibration-*/*/{REFINED}"))) == 1
