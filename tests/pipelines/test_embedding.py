"""Embeddings are checked when they are read back or resumed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from pictures import encoded, picture

from lfw_eval.datasets.alignment import AlreadyAligned
from lfw_eval.datasets.crop_store import CropStore, build_crop_store
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.dummy import DummyEngine
from lfw_eval.pipelines.embedding import embed


@pytest.fixture
def store(tmp_path, monkeypatch) -> CropStore:
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / "datasets"))
    (tmp_path / "images").mkdir()
    for seed in range(6):
        content = encoded(picture(seed, 60, 60), ".png")
        (tmp_path / "images" / f"Bo_000{seed}.png").write_bytes(content)
    photographs = open_photographs(tmp_path / "images")
    return build_crop_store(photographs, photographs.names, AlreadyAligned(), tmp_path)


class Counted(DummyEngine):
    """Counts the crops that it embeds, and is interrupted where asked."""

    embedded = 0
    stop_at = 99

    def stream(self, batches):
        for outputs in super().stream(batches):
            if self.embedded >= self.stop_at:
                raise KeyboardInterrupt
            self.embedded += len(next(iter(outputs.values())))
            yield outputs


@pytest.fixture
def engine(tiny_facenet, tmp_path) -> Counted:
    model = tmp_path / "model.onnx"
    onnx.save(tiny_facenet, model)
    request = BuildRequest(model, "fixed", "fp32", batch_size=2)
    built = Counted.build(request, tmp_path)
    assert isinstance(built, Counted)
    return built


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def edit(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: np.save(path, change(np.load(path)))


def earlier(path: Path) -> None:
    """As an earlier version wrote it."""
    path.with_suffix(".json").write_text(json.dumps({"seconds": 1.0, "measured": "2026-01-01"}))


def of_other_crops(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(record.read_text().replace("crops", "crisp"))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:-100]), "is damaged"),
    "empty": (lambda p: p.write_bytes(b""), "is damaged"),
    "gone": (lambda p: p.unlink(), "No such file"),
    "a flipped bit": (lambda p: flip(p, -7), "is not what was written"),
    "swapped rows": (edit(lambda values: values[::-1]), "is not what was written"),
    "a row twice": (edit(lambda v: np.concatenate([v, v[-1:]])), "is not what was written"),
    "another dtype": (edit(lambda v: v.astype(np.float64)), "is not what was written"),
    "half a record": (
        lambda p: p.with_suffix(".json").write_text('{"of": {'), "cannot be read",
    ),
    "an earlier version's": (earlier, "of an earlier version"),
    "of other crops": (of_other_crops, "is not what was written"),
}  # fmt: skip


@pytest.mark.parametrize("flip_crops", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_embeddings_are_made_again(store, engine, damage, flip_crops, capfd):
    def run():
        return embed(engine, store, 2, flip=flip_crops, reuse=True)

    first = run()
    assert run().from_cache
    (path,) = store.folder.glob("embeddings-*.npy")
    change, reason = DAMAGES[damage]
    change(path)
    capfd.readouterr()
    again = run()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{path} is ")
    assert reason in line
    assert not again.from_cache
    np.testing.assert_array_equal(again.values, first.values)
    assert run().from_cache


PARTIAL: dict[str, tuple[Callable[[Path], object], int]] = {
    "nothing": (lambda p: None, 4),
    "a flipped bit": (lambda p: flip(p, 128), 0),
    "swapped rows": (edit(lambda values: values[[1, 0, 2, 3, 4, 5]]), 0),
    "never written": (edit(np.zeros_like), 0),
    "a row less": (edit(lambda values: values[:-1]), 0),
    "another dtype": (edit(lambda values: values.view(np.int32)), 0),
    "gone": (lambda p: p.unlink(), 0),
    "more said to be done": (
        lambda p: p.with_suffix(".json").write_text(
            p.with_suffix(".json").read_text().replace('"done": 4', '"done": 6')
        ),
        0,
    ),
    "as an earlier version left it": (
        lambda p: p.with_suffix(".json").write_text("[4, 1.0]"), 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", PARTIAL)
def test_what_an_interrupted_run_left_is_checked(store, engine, damage):
    whole = embed(engine, store, 2).values
    engine.embedded, engine.stop_at = 0, 4
    with pytest.raises(KeyboardInterrupt):
        embed(engine, store, 2)
    (path,) = store.folder.glob("*.part.npy")
    change, kept = PARTIAL[damage]
    change(path)
    engine.embedded, engine.stop_at = 0, 99
    again = embed(engine, store, 2)
    assert engine.embedded == 6 - kept
    np.testing.assert_array_equal(again.values, whole)
    assert not list(store.folder.glob("*.part.*"))


def test_a_server_is_asked_again(store, engine):
    """What its model is cannot be told, so nothing is read back or resumed."""
    engine.cacheable = False
    embed(engine, store, 2, reuse=True)
    assert not embed(engine, store, 2, reuse=True).from_cache
    engine.embedded, engine.stop_at = 0, 4
    with pytest.raises(KeyboardInterrupt):
        embed(engine, store, 2)
    engine.embedded, engine.stop_at = 0, 99
    embed(engine, store, 2)
    assert engine.embedded == 6


def test_an_engine_that_gives_too_few_is_refused(store, engine, monkeypatch):
    stream = type(engine).stream
    monkeypatch.setattr(type(engine), "stream", lambda self, batches: [*stream(self, batches)][:-1])
    with pytest.raises(RuntimeError, match="4 of 6 crops have embeddings"):
        embed(engine, store, 2)
    assert not list(store.folder.glob("embeddings-*-bs2.json"))
