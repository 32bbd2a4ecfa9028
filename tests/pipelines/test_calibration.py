"""Calibration of a checkpoint: what is kept, resumed and refused."""

import numpy as np
import onnx
import pytest

import lfw_eval.pipelines.calibration
from calibration.activations import Observer
from calibration.histogram import Histogram, merge_histograms
from calibration.sampler import CalibrationList
from calibration.scales import observed_tensors, thresholds
from calibration.thresholds import METHODS
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.pipelines import counting
from lfw_eval.pipelines.calibration import calibrate
from lfw_eval.system.errors import UserError

IMAGES = CalibrationList(tuple(f"A_{n:04d}" for n in range(64)), "test")


@pytest.fixture
def checkpoint(tiny_facenet, tmp_path) -> Checkpoint:
    model = tmp_path / "fp32.onnx"
    onnx.save(fold_affine(tiny_facenet), model)
    return Checkpoint("tiny", tmp_path, model, "per-image", "")


def test_another_method_takes_no_second_pass(checkpoint, crops, monkeypatch):
    entropy = calibrate(checkpoint, crops, IMAGES)
    monkeypatch.setattr(counting, "Observer", None)
    largest = calibrate(checkpoint, crops, IMAGES, "minmax").table.amax
    assert all(value <= largest[name] * 1.3 for name, value in entropy.table.amax.items())
    assert calibrate(checkpoint, crops, IMAGES).table == entropy.table


def test_the_first_batch_sets_the_bins(checkpoint, crops):
    small = calibrate(checkpoint, crops, IMAGES, first_batch=8)
    default = calibrate(checkpoint, crops, IMAGES)
    assert (small.table.first_batch, default.table.first_batch) == (8, 64)
    observer = Observer(
        accept_crops(onnx.load(checkpoint.model), "per-image"), list(small.histograms())
    )
    for calibration, count in ((small, 8), (default, 64)):
        first = observer.empty_histograms([{CROPS: crops[:count]}])
        for name, histogram in calibration.histograms().items():
            assert histogram.reference == pytest.approx(first[name].reference, rel=1e-5)
    assert small.table.amax != default.table.amax
    assert calibrate(checkpoint, crops, IMAGES, first_batch=8).table == small.table
    with pytest.raises(UserError, match="`first_batch` must be at least 1, not 0"):
        calibrate(checkpoint, crops, IMAGES, first_batch=0)


def test_goes_on_after_an_interruption(checkpoint, crops, monkeypatch):
    whole = calibrate(checkpoint, crops, IMAGES).table
    for path in checkpoint.folder.glob("calibration-*/*"):
        path.unlink()
    seen: list[int] = []

    class Interrupted(Observer):
        def observe(self, batch, histograms):
            super().observe(batch, histograms)
            seen.append(len(batch["crops"]))

    def after_two_batches():
        return len(seen) == 2

    class Deferred:
        def __enter__(self):
            return after_two_batches

        def __exit__(self, *_):
            return None

    with monkeypatch.context() as patched:
        patched.setattr(counting, "Observer", Interrupted)
        patched.setattr(lfw_eval.pipelines.calibration, "deferred_interrupt", Deferred)
        with pytest.raises(KeyboardInterrupt):
            calibrate(checkpoint, crops, IMAGES)
    monkeypatch.setattr(counting, "Observer", Interrupted)
    assert calibrate(checkpoint, crops, IMAGES).table == whole
    assert sum(seen) == len(crops), "no crop is seen twice"


def test_refuses_no_crops_and_crops_of_another_size(checkpoint):
    with pytest.raises(UserError, match="at least one crop"):
        calibrate(checkpoint, np.empty((0, 160, 160, 3), np.uint8), IMAGES)
    with pytest.raises(UserError, match="not 112x112x3"):
        calibrate(checkpoint, np.empty((4, 112, 112, 3), np.uint8), IMAGES)


def test_crops_split_over_observers_give_the_same_histograms(checkpoint, crops):
    model = onnx.load(checkpoint.model)
    tensors = observed_tensors(model)
    batches = [{CROPS: crops[start : start + 8]} for start in range(0, len(crops), 8)]

    def observed(references, some):
        observer = Observer(accept_crops(model, "per-image"), tensors)
        histograms = {name: Histogram(amax) for name, amax in references.items()}
        for batch in some:
            observer.observe(batch, histograms)
        return histograms

    references = Observer(accept_crops(model, "per-image"), tensors).amax(batches[0])
    whole = observed(references, batches)
    merged = merge_histograms(observed(references, batches[5:]), observed(references, batches[:5]))
    for method in METHODS:
        assert thresholds(model, merged, method) == thresholds(model, whole, method)
    assert all(np.array_equal(merged[name].counts, whole[name].counts) for name in tensors)
