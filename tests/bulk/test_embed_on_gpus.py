"""Shards of images embedded where they are aligned: GPUs, whose part the processor plays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lanes_on_cpu import lanes_on_cpu
from world import tiny

from lfw_eval.bulk import embed_on_gpus
from lfw_eval.bulk.embed import EmbedJob, shards_to_embed
from lfw_eval.bulk.embed_on_gpus import rows_of_gpus
from lfw_eval.datasets.alignment import AnyAlignment, GpuAlignment, MtcnnAlignment, gpu_lanes
from lfw_eval.datasets.alignment.gpu import GpuRuntimes
from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.workers.in_process import HERE

parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'lfw-eval[ray]'")

ON_GPU = GpuAlignment(MtcnnAlignment(), (0,), GpuRuntimes("rig", "ONNX Runtime", "g++"))


@pytest.fixture
def images(real_data, tmp_path) -> Path:
    """Ten photographs of LFW, of which one is cut off, and a file that is no image."""
    source = open_photographs(real_data / "lfw.tgz")
    root = tmp_path / "in"
    root.mkdir()
    for number, photograph in enumerate(source.encoded(sorted(source.names)[::750][:10])):
        content = photograph.content[:3000] if number == 4 else photograph.content
        (root / f"{photograph.name}.jpg").write_bytes(content)
    (root / "text.png").write_bytes(b"no image")
    return root


def test_the_same_as_on_the_cpu(images, tmp_path, monkeypatch, mtcnn_weights):
    monkeypatch.setattr(gpu_lanes, "PHOTOGRAPHS", 4)
    monkeypatch.setattr(
        GpuLanes, "open", lambda alignment, engine: lanes_on_cpu(alignment.recipe, mtcnn_weights)
    )
    model = tmp_path / "model.onnx"
    tiny(model, side=160)
    engine = EngineSpec(
        EngineChoice("onnxruntime", "fp32", 4), BuildRequest(model, "fixed", "fp32"), tmp_path
    )

    def embedded(name: str, alignment: AnyAlignment) -> tuple[dict[str, np.ndarray], list[str]]:
        output = tmp_path / name
        shards = shards_to_embed(images, output, alignment, 1)
        counts = EmbedJob(images, shards, output, alignment, engine).run(HERE)
        assert (counts.images, counts.unreadable) == (9, 2)
        rows = [
            row for path in output.glob("*.parquet") for row in parquet.read_table(path).to_pylist()
        ]
        vectors = {row["name"]: np.array(row["embedding"]) for row in rows}
        assert len(vectors) == 9
        return vectors, (output / "unreadable.txt").read_text().splitlines()

    on_cpu, on_gpu = embedded("cpu", MtcnnAlignment()), embedded("gpu", ON_GPU)
    assert on_cpu[1] == on_gpu[1] and "text.png" in on_gpu[1]
    scale = max(np.abs(vector).max() for vector in on_cpu[0].values())
    for name, vector in on_cpu[0].items():
        # Of crops that differ by rounding.
        np.testing.assert_allclose(on_gpu[0][name], vector, atol=0.05 * scale)
    assert len(list((tmp_path / "gpu").glob("*.parquet"))) == 1


def test_several_gpus_of_this_machine_have_a_process_each(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(
        embed_on_gpus, "through_processes", lambda items, worker, arguments: given.append(arguments)
    )
    options = TensorRTOptions(gpu=(0, 2))
    choice = EngineChoice("tensorrt", "fp16", options=options)
    engine = EngineSpec(choice, BuildRequest(tmp_path, "fixed", "fp16", options=options), tmp_path)
    rows_of_gpus(HERE, [], engine, replace(ON_GPU, gpus=(0, 2)))
    (arguments,) = given
    assert [alignment.gpus for _, alignment in arguments] == [(0,), (2,)]
    assert [spec.choice.options.gpus for spec, _ in arguments] == [(0,), (2,)]
    assert [spec.request.options for spec, _ in arguments] == [
        spec.choice.options for spec, _ in arguments
    ]
    rows_of_gpus(HERE, [], engine, ON_GPU)
    assert len(given) == 1, "one GPU is this process's"
