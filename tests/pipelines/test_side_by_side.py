"""Reference and candidate on the same crops."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from pictures import encoded, picture

from lfw_eval.datasets.alignment import AlreadyAligned
from lfw_eval.datasets.crop_store import build_crop_store
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.pipelines import side_by_side
from lfw_eval.pipelines.embedding import embed
from lfw_eval.pipelines.side_by_side import run_engine
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
