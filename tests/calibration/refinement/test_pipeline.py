from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.refinement.contract import Candidate, Images
from calibration.refinement.measure import Fidelity
from calibration.refinement.pipeline import Refinement, refine
from calibration.refinement.ranges import calibrated


@dataclass(frozen=True)
class Scaled:
    """Multiplies all thresholds: finer steps where they were too wide."""

    name: str
    factor: float
    preserving: bool = True
    recipe: str = "1"

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        amax = {name: value * self.factor for name, value in candidate.amax.items()}
        return Candidate(candidate.model, amax)


@dataclass(frozen=True)
class Doubled:
    """Narrower, and twice as long an embedding, which it says it does not change."""

    name: str = "doubled"
    preserving: bool = True
    recipe: str = "1"

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        model = onnx.ModelProto.FromString(candidate.model.SerializeToString())
        last = model.graph.node[-1]
        for tensor in (t for t in model.graph.initializer if t.name in last.input):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, tensor.name))
        return Candidate(model, {name: value / 8 for name, value in candidate.amax.items()})


@dataclass(frozen=True)
class Endless:
    """Makes infinity of every image."""

    name: str = "endless"
    preserving: bool = False
    recipe: str = "1"

    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        model = onnx.ModelProto.FromString(candidate.model.SerializeToString())
        last = model.graph.node[-1]
        for tensor in (t for t in model.graph.initializer if t.name == last.input[-1]):
            values = np.full_like(numpy_helper.to_array(tensor), np.inf)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return Candidate(model, candidate.amax)


class Interrupting(Scaled):
    def __call__(
        self, candidate: Candidate, original: onnx.ModelProto, images: NDArray[np.float32]
    ) -> Candidate:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def wide(network: onnx.ModelProto, images: NDArray[np.float32]) -> Candidate:
    """Thresholds that are eight times too high."""
    amax = calibrated(network, images, "minmax")
    return Candidate(network, {name: value * 8 for name, value in amax.items()})


@pytest.fixture(scope="module")
def crops(images: NDArray[np.float32]) -> Images:
    return Images(images, images[::-1].copy())


def same(first: Candidate, second: Candidate) -> bool:
    return first.amax == second.amax and first.model == second.model


def test_no_steps_change_nothing(wide: Candidate, crops: Images, tmp_path: Path):
    refinement = refine(wide, crops, [], tmp_path)
    assert same(refinement.refined, wide) and same(refinement.equalised, wide)
    assert refinement.gains == ()


def test_what_gains_nothing_is_undone(wide: Candidate, crops: Images, tmp_path: Path):
    steps = [Scaled("narrower", 1 / 8), Scaled("wider", 16), Scaled("last", 1.01, False)]
    refinement = refine(wide, crops, steps, tmp_path)
    narrower, wider, _ = refinement.gains
    assert not narrower.undone and narrower.after.cosine > narrower.before.cosine
    assert wider.undone and wider.after.cosine < wider.before.cosine
    assert refinement.gains[2].before == narrower.after
    assert refinement.equalised.amax["sum"] == wide.amax["sum"] / 8


def test_another_function_is_undone(wide: Candidate, crops: Images, tmp_path: Path):
    refinement = refine(wide, crops, [Doubled()], tmp_path)
    assert refinement.gains[0].undone and same(refinement.refined, wide)


def test_a_network_without_embeddings_is_undone(wide: Candidate, crops: Images, tmp_path: Path):
    (gain,) = refine(wide, crops, [Endless()], tmp_path).gains
    assert gain.undone and gain.after == Fidelity(0, 0, 0)


def test_resumes_with_the_step_that_was_interrupted(wide: Candidate, crops: Images, tmp_path: Path):
    narrower = Scaled("narrower", 1 / 8)
    with pytest.raises(KeyboardInterrupt):
        refine(wide, crops, [narrower, Interrupting("last", 1)], tmp_path)
    # It would raise, were it run again.
    resumed = refine(wide, crops, [Interrupting("narrower", 1 / 8), Scaled("last", 2)], tmp_path)
    assert resumed.gains == _refined(wide, crops, tmp_path / "other").gains
    assert resumed.refined.amax["sum"] == wide.amax["sum"] / 8


@pytest.mark.parametrize("name", ["narrower.json", "narrower.onnx"])
def test_a_damaged_file_is_made_again(
    wide: Candidate,
    crops: Images,
    tmp_path: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
):
    first = _refined(wide, crops, tmp_path)
    (tmp_path / name).write_bytes(b"{}")
    second = _refined(wide, crops, tmp_path)
    assert same(first.refined, second.refined) and first.gains == second.gains
    assert "narrower.json" in capsys.readouterr().err


def test_other_images_are_another_refinement(wide: Candidate, crops: Images, tmp_path: Path):
    _refined(wide, crops, tmp_path)
    others = Images(crops.fitting[:-1], crops.held_out)
    with pytest.raises(KeyboardInterrupt):
        refine(wide, others, [Interrupting("narrower", 1 / 8)], tmp_path)


def _refined(wide: Candidate, crops: Images, folder: Path) -> Refinement:
    return refine(wide, crops, [Scaled("narrower", 1 / 8), Scaled("last", 2)], folder)
