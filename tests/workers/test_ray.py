"""Work over a real Ray cluster of several nodes on this machine, nodes and workers killed."""

import io
import os
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import onnx
import pytest

from calibration.histogram import pack_histograms
from lfw_eval.bulk.embed import EmbedJob, shards_to_embed
from lfw_eval.bulk.embedding_shards import EmbeddingShards
from lfw_eval.bulk.image_shards import list_shards, read_shard
from lfw_eval.bulk.score import unit_embeddings
from lfw_eval.cli.flatten import with_values
from lfw_eval.datasets.alignment import AlignedFaces, BoxAlignment
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest, EngineOptions
from lfw_eval.pipelines.calibration import _observe
from lfw_eval.pipelines.counting import Counting
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.verification import Protocol, evaluate
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Row, Workers
from lfw_eval.workers.in_process import HERE
from lfw_eval.workers.ray import RayWorkers
from lfw_eval.workers.ray_cluster import RayCluster

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'lfw-eval[ray]'")
from ray.cluster_utils import Cluster as Nodes  # noqa: E402

pytestmark = pytest.mark.slow


class Shrunk:
    """An alignment that needs no network: the whole image, shrunk."""

    fingerprint = "whole image"
    versions: ClassVar[dict[str, str]] = {}

    def align(self, names, images):
        crops = np.empty((len(images), 160, 160, 3), np.uint8)
        for crop, image in zip(crops, images, strict=True):
            cv2.resize(image, (160, 160), dst=crop)
        boxes = np.array([[0, 0, *image.shape[1::-1]] for image in images], float).reshape(-1, 4)
        return AlignedFaces(crops, boxes, np.array([bool(image.any()) for image in images], bool))


class Doubled:
    """A worker that is slow enough to be killed at work."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def __call__(self, item: Row) -> Iterator[Row]:
        if item["value"] < 0:
            raise UserError(f"{item['value']} is below 0")
        (self._folder / f"{item['value']}-{os.getpid()}").touch()
        time.sleep(0.1)
        yield {"value": 2 * item["value"]}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head without cores, and two nodes of one core each."""
    with pytest.MonkeyPatch.context() as patched:
        # The nodes' workers load this module's classes.
        patched.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        cluster = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def cluster(nodes: Nodes) -> RayWorkers:
    return RayWorkers(RayCluster(nodes.address), cores=1)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """150 images in folders, one of them damaged, one black."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(5)
    for number in range(150):
        folder = root / f"person{number % 7}"
        folder.mkdir(exist_ok=True)
        image = rng.integers(0, 256, (40, 30 + number % 5, 3), np.uint8) * (number != 11)
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)
    (root / "person3" / "003.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def request_for(tiny_facenet, tmp_path_factory) -> BuildRequest:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(tiny_facenet, path)
    return BuildRequest(path, "per-image", "fp32", batch_size=1)


def job(source: Path, output: Path, request: BuildRequest, folder: Path) -> EmbedJob:
    shards = shards_to_embed(source, output, Shrunk(), request.batch_size)
    choice = EngineChoice("onnxruntime", request.precision, request.batch_size)
    return EmbedJob(source, shards, output, Shrunk(), EngineSpec(choice, request, folder))


def test_results_come_in_order_whatever_dies(nodes, cluster, tmp_path):
    """A node is killed at work, and then a worker of the other: nothing is lost, or comes twice."""
    extra = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    items = [{"value": value} for value in range(60)]
    rows = []
    for row in cluster.map(items, Doubled, str(tmp_path)):
        rows.append(row)
        if len(rows) == 5:
            nodes.remove_node(extra, allow_graceful=False)
        if len(rows) == 30:
            newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            os.kill(int(newest.name.partition("-")[2]), signal.SIGKILL)
    assert [row["value"] for row in rows] == [2 * item["value"] for item in items]
    # What was under way was done again, and little else.
    done = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert len(items) <= len(done) <= len(items) + 16


def test_a_users_mistake_comes_out_as_it_was(cluster, tmp_path):
    with pytest.raises(UserError, match=r"^-1 is below 0$"):
        list(cluster.map([{"value": 1}, {"value": -1}], Doubled, str(tmp_path)))


def test_a_cluster_that_is_not_there(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(UserError, match=r"`ray` 127.0.0.1:1: no Ray cluster can be joined there"):
        RayWorkers(RayCluster("127.0.0.1:1")).call(dict)


def test_a_gpu_that_no_node_has(cluster):
    with pytest.raises(UserError, match="no node of the cluster has a GPU"):
        cluster.call(dict, gpus=(0,))


def test_embeddings_are_those_of_one_process(cluster, images, request_for, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    summary = job(images, here, request_for, tmp_path / "e").run(HERE)
    assert job(images, there, request_for, tmp_path / "e").run(cluster) == summary
    assert (summary.images, summary.undetected, summary.unreadable) == (149, 1, 1)
    assert (there / "unreadable.txt").read_text() == "person3/003.png\n"
    (names, values), (others, same) = (unit_embeddings(EmbeddingShards(p)) for p in (here, there))
    assert names == others
    assert values.shape == (149, 32)
    np.testing.assert_array_equal(values, same)


def test_finished_shards_are_not_done_again(images, request_for, tmp_path):
    output = tmp_path / "out"
    begun = job(images, output, request_for, tmp_path / "e")
    whole = begun.run(HERE)
    parts = EmbeddingShards(output).parts()
    assert len(parts) == 10
    before = {path.name: path.stat().st_mtime_ns for path in parts}
    parts[4].unlink()
    (output / ".part-000004.parquet.123.parquet").write_bytes(b"half")
    assert begun.run(HERE) == whole
    after = {path.name: path.stat().st_mtime_ns for path in EmbeddingShards(output).parts()}
    assert {name for name in after if after[name] != before[name]} == {"part-000004.parquet"}
    assert not list(output.glob(".*"))


def test_a_gpu_has_others_prepare_its_crops(nodes, images, request_for, tmp_path, monkeypatch):
    """A node that says it has a GPU: reading and aligning are tasks of their own in front of it."""
    gpu = nodes.add_node(num_cpus=1, num_gpus=1)
    nodes.wait_for_nodes()
    monkeypatch.setattr(EngineOptions, "gpus", (0,))
    apart = job(images, tmp_path / "apart", request_for, tmp_path / "e")
    summary = apart.run(RayWorkers(RayCluster(nodes.address)))
    nodes.remove_node(gpu)
    assert summary == job(images, tmp_path / "one", request_for, tmp_path / "e").run(HERE)
    _, values = unit_embeddings(EmbeddingShards(tmp_path / "apart"))
    _, same = unit_embeddings(EmbeddingShards(tmp_path / "one"))
    np.testing.assert_array_equal(values, same)


def test_boxes_that_cannot_be_told_apart(images, golden, tmp_path):
    boxes = BoxAlignment(golden / "lfw_boxes.csv")
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="several images named 1, which `boxes` cannot tell"):
        shards_to_embed(tmp_path / "in", tmp_path / "out", boxes, 1)
    tars = packed(images, tmp_path, "tar")
    with pytest.raises(UserError, match="`boxes` goes with a folder of images"):
        shards_to_embed(tars / "0.tar", tmp_path / "out", boxes, 1)


def test_outputs_that_cannot_be(images, tmp_path):
    with pytest.raises(UserError, match="lies within"):
        shards_to_embed(images, images / "person1" / "out", Shrunk(), 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="exists and holds no embeddings"):
        shards_to_embed(images, tmp_path / "file", Shrunk(), 1)


def test_another_source_is_refused(images, request_for, tmp_path):
    job(images, tmp_path / "out", request_for, tmp_path / "e").run(HERE)
    with pytest.raises(UserError, match="embeddings of another source, model or alignment"):
        job(images / "person1", tmp_path / "out", request_for, tmp_path / "e").run(HERE)


def packed(images: Path, folder: Path, form: str) -> Path:
    files = sorted(images.rglob("*.png"))
    for part in range(3):
        names = [str(path.relative_to(images)) for path in files[part::3]]
        contents = [path.read_bytes() for path in files[part::3]]
        if form == "tar":
            with tarfile.open(folder / f"{part}.tar", "w") as archive:
                for name, content in zip(names, contents, strict=True):
                    for member, data in ((name, content), (name[:-3] + "cls", b"0")):
                        info = tarfile.TarInfo(member)
                        info.size = len(data)
                        archive.addfile(info, io.BytesIO(data))
        else:
            pa = pytest.importorskip("pyarrow")
            column = [{"bytes": c, "path": n} for n, c in zip(names, contents, strict=True)]
            table = pa.table({"path": names, "image": column if part else contents})
            pa.parquet.write_table(table, folder / f"{part}.parquet", row_group_size=17)
    return folder


def damaged_tar() -> bytes:
    """Three members, the header of the last one damaged."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for number in range(3):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = 100
            archive.addfile(info, io.BytesIO(b"x" * 100))
    damaged = bytearray(content.getvalue())
    damaged[2048 + 150] ^= 1  # in its checksum
    return bytes(damaged)


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_every_form_gives_the_same_images(images, tmp_path, form):
    pytest.importorskip("pyarrow.parquet")
    shards = list_shards(packed(images, tmp_path, form), 16)
    plain = list_shards(images, 16)
    assert shards.images == plain.images == 150
    assert max(item["stop"] - item["start"] for item in shards.items) <= 16
    read, expected = (
        dict(pair for item in listed.items for pair in read_shard(item))
        for listed in (shards, plain)
    )
    assert read == expected


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "holds no image; give one kind: images .*, .tar, not compressed, or .parquet"),
        ({"a.png": b"", "b.tar": b""}, "holds folder and tar; give one kind"),
        ({"a.tar": b"x" * 2000}, "is cut off, or no uncompressed tar file"),
        ({"a.tar": damaged_tar()}, "is damaged after 2,048 bytes"),
        ({"a.parquet": b"x" * 2000}, "is damaged, or not a Parquet file"),
    ],
)
def test_sources_that_are_none(tmp_path, files, complaint):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        list_shards(tmp_path, 16)


def test_histograms_are_those_of_one_process(cluster, tiny_facenet, tmp_path):
    """Bit for bit, though three workers count in parts: 150 crops are no whole number of shards."""
    rng = np.random.default_rng(3)
    crops = rng.integers(0, 256, (150, 160, 160, 3), np.uint8)
    crops[70:] //= 4
    counting = Counting(tiny_facenet, "per-image")
    here = _observe(counting, crops, 64, tmp_path / "here.npz", HERE)
    there = _observe(counting, crops, 64, tmp_path / "there.npz", cluster)
    for key, values in pack_histograms(here).items():
        np.testing.assert_array_equal(values, pack_histograms(there)[key], err_msg=key)


@pytest.mark.parametrize("address", ["somewhere", "http://host:1", "host", "host:port", ""])
def test_addresses_that_are_none(address):
    with pytest.raises(UserError, match="is not an address"):
        RayCluster(address)


@pytest.mark.parametrize(
    ("arguments", "understood"),
    [
        (["embed", "a", "b", "--ray"], ["embed", "a", "b", "--ray=local"]),
        (["evaluate", "--ray", "--bs", "8"], ["evaluate", "--ray=local", "--bs", "8"]),
        (["evaluate", "--ray", "host:1"], ["evaluate", "--ray", "host:1"]),
        (["evaluate", "--ray=auto"], ["evaluate", "--ray=auto"]),
    ],
)
def test_a_bare_option_is_this_machine(arguments, understood):
    assert with_values(arguments, {"--ray": "local"}) == understood


def test_metrics_are_the_same_though_a_node_is_killed(
    nodes, cluster, real_data, golden, facenet, tmp_path, monkeypatch
):
    """Real LFW, 240 pairs: aligned, calibrated and embedded by three nodes, one of them killed."""
    extra = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    lines = (real_data / "pairs.txt").read_text().splitlines()
    # 60 pairs of each kind in each of two folds.
    chosen = [lines[1 + first + row] for first in (0, 300, 600, 900) for row in range(60)]
    (tmp_path / "pairs.txt").write_text("\n".join(["2\t60", *chosen]) + "\n")

    def run(place: str, workers: Workers) -> AccuracyResult:
        monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path / place))
        here = Job(
            dataset=open_dataset(str(real_data / "lfw.tgz"), tmp_path / "pairs.txt"),
            alignment=BoxAlignment(golden / "lfw_boxes.csv"),
            checkpoint=facenet,
            engine=EngineChoice(batch_size=8),
        )
        return evaluate(here, Protocol(), workers)

    def kill() -> None:
        while not list((tmp_path / "there").rglob("embeddings-*.part.npy")):
            time.sleep(0.1)
        time.sleep(2)
        nodes.remove_node(extra, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    there = run("there", cluster)
    killer.join()
    here = run("here", HERE)
    assert there.data.crops_sha256 == here.data.crops_sha256
    assert there.calibration == here.calibration
    for mine, theirs in ((here.reference, there.reference), (here.candidate, there.candidate)):
        assert mine and theirs and theirs.engine.key.startswith(mine.engine.key)
        np.testing.assert_array_equal(mine.verification.distances, theirs.verification.distances)
        assert mine.verification.accuracy == theirs.verification.accuracy
        assert mine.verification.val == theirs.verification.val


def test_a_gpu_that_is_named_is_refused(cluster):
    with pytest.raises(UserError, match="`gpu` does not go with `ray`"):
        cluster.call(dict, gpus=(1,))


def test_work_is_cut_and_values_are_shared(cluster):
    assert cluster.split(range(5), 2) == [range(0, 2), range(2, 4), range(4, 5)]
    assert cluster.call(lambda shared: shared().sum(), cluster.share(np.arange(5))) == 10
