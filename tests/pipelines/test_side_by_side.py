"""Reference and candidate on the same crops."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from pictures import encoded, picture

from lfw_eval.checkpoints.checkpoint import open_checkpoint
from lfw_eval.datasets.alignment import AlreadyAligned, BoxAlignment
from lfw_eval.datasets.crop_store import build_crop_store
from lfw_eval.datasets.dataset import Dataset, open_dataset
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.dummy import DummyEngine
from lfw_eval.pipelines import side_by_side
from lfw_eval.pipelines.embedding import embed
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.side_by_side import run_engine, run_side_by_side
from lfw_eval.workers.in_process import HERE


def test_two_runs_at_once_embed_in_turn(tiny_facenet, tmp_path, monkeypatch, capfd):
    for seed in range(3):
        (tmp_path / f"Bo_000{seed}.png").write_bytes(encoded(picture(seed, 60, 60), ".png"))
    photographs = open_photographs(tmp_path)
    store = build_crop_store(photographs, photographs.names, AlreadyAligned(), tmp_path / "stores")
    model = tmp_path / "model.onnx"
    onnx.save(tiny_facenet, model)
    request = BuildRequest(model, "none", "fp32", batch_size=2)
    spec = EngineSpec(EngineChoice("dummy", "fp32", 2), request, tmp_path)
    running, at_once = [], []

    def slow(*arguments, **options):
        running.append(arguments)
        at_once.append(len(running))
        time.sleep(0.3)
        embeddings = embed(*arguments, **options)
        running.pop()
        return embeddings

    monkeypatch.setattr(side_by_side, "embed", slow)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: run_engine("dummy", spec, store, HERE), range(2))
    np.testing.assert_array_equal(first.embeddings, second.embeddings)
    assert at_once == [1, 1]
    assert "another process that is embedding these crops" in capfd.readouterr().err


def test_what_only_has_to_be_loaded_is_opened_while_faces_are_aligned(
    small, tiny_facenet, monkeypatch
):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(small / "datasets"))
    monkeypatch.setenv("LFW_EVAL_CHECKPOINTS", str(small / "checkpoints"))
    (small / "checkpoints").mkdir()
    (small / "checkpoints" / "manifest.toml").touch()
    onnx.save(tiny_facenet, small / "tiny.onnx")
    build, crop_store = DummyEngine.build.__func__, Dataset.crop_store
    engines, ready = [], threading.Semaphore(0)
    closed = []

    def built(cls, request, folder):
        engine = build(cls, request, folder)
        assert threading.current_thread() is not threading.main_thread()
        engines.append(engine)
        engine.close = lambda: closed.append(engine)
        ready.release()
        return engine

    def aligned(*arguments):
        assert all(ready.acquire(timeout=10) for _ in range(2))
        return crop_store(*arguments)

    monkeypatch.setattr(DummyEngine, "loads_beside_others", classmethod(lambda *_: True))
    monkeypatch.setattr(DummyEngine, "build", classmethod(built))
    monkeypatch.setattr(Dataset, "crop_store", aligned)
    dataset = open_dataset(small / "faces")
    checkpoint = open_checkpoint(str(small / "tiny.onnx"), "per-image")
    alignment = BoxAlignment(small / "boxes.csv")
    job = Job(dataset, alignment, checkpoint, EngineChoice("dummy", "fp16", 2))
    both = run_side_by_side(job)
    assert both.candidate
    np.testing.assert_array_equal(both.reference.embeddings, both.candidate.embeddings)
    assert len(engines) == 2
    assert sorted(map(id, closed)) == sorted(map(id, engines))
