"""Plans built by the suite's own code, with TensorRT 11's builder and without a GPU."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from command import REPOSITORY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorrt_rig.processes import builder_of, is_running
from tensorrt_rig.product import Product
from tensorrt_rig.versions import WITHOUT_BUILDER
from waiting import wait_until

from calibration.scales import ScaleTable
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.mtcnn import output_network
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.tensorrt import plan
from lfw_eval.engines.tensorrt.build_order import Order
from lfw_eval.engines.tensorrt.builder import build_in_process
from lfw_eval.system.errors import UserError
from lfw_eval.system.locks import locked

pytestmark = pytest.mark.slow

PRECISIONS = ("fp32", "fp16", "int8")


@pytest.fixture
def product(builder, monkeypatch, tmp_path) -> Product:
    """Builds into an empty folder, with the bindings where the suite's code finds them."""
    monkeypatch.setenv("PYTHONPATH", str(builder.bindings.folder))
    folder = tmp_path / "engines"
    folder.mkdir()
    return Product(builder.bindings.capabilities, folder)


@pytest.fixture(scope="module")
def small(tiny_facenet, tmp_path_factory) -> BuildRequest:
    path = tmp_path_factory.mktemp("small") / "fp32.onnx"
    onnx.save(fold_affine(tiny_facenet), path)
    return BuildRequest(path, "per-image", "fp32")


def in_precision(request: BuildRequest, precision: str) -> BuildRequest:
    scales = None
    if precision == "int8":
        # The builder looks at types, not at values: any threshold will do.
        nodes = onnx.load(request.model).graph.node
        tensors = ["input", *(name for node in nodes for name in node.output)]
        scales = ScaleTable(dict.fromkeys(tensors, 6.0), "entropy", "m", "i", 1)
    return replace(request, precision=precision, scales=scales)


def names(folder: Path) -> list[str]:
    """What is in a folder, without the locks, which stay for the next to come."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.fixture(scope="module")
def facenet_request(facenet) -> BuildRequest:
    return BuildRequest(facenet.model, facenet.normalisation, "fp32")


SIZES = {"fp32": (1, 1.1), "fp16": (0.5, 0.6), "int8": (0.25, 0.5)}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_facenet(builder, product, facenet_request, precision):
    request = in_precision(facenet_request, precision)
    with product.order(request) as order:
        built = build_in_process(order, gpu=0)
        assert Path(order.plan).stat().st_size == built.size
        network = builder.build(onnx.load(order.network))
    weights = 4 * 22.8e6
    min_ratio, max_ratio = SIZES[precision]
    assert min_ratio * weights < built.size < max_ratio * weights
    assert built.seconds > 0.1
    typed = "FLOAT" if precision == "fp32" else "HALF"
    assert network.types_of("CONVOLUTION") == network.types_of("MATRIX_MULTIPLY") == {typed}
    assert network.types_of("NORMALIZATION") == {"FLOAT"}
    assert network.types_of("QUANTIZE") == ({"INT8"} if precision == "int8" else set())
    assert network.types_of("DEQUANTIZE") == ({"HALF"} if precision == "int8" else set())
    assert network.types == ["UINT8", "FLOAT"]
    log = Path(order.log)
    said = log.read_text().splitlines() if log.is_file() else []
    # Of INT8 it says two things, each as often as there are convolutions.
    assert built.warnings == len(said) == (2 if precision == "int8" else 0)
    assert all(line.startswith("warning (132 times): ") for line in said)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_network_as_it_is(builder, product, mtcnn_weights, tmp_path, precision):
    """MTCNN's O-Net takes float32 (n, 48, 48, 3), which nothing is built in before."""
    path = tmp_path / "onet.onnx"
    onnx.save(output_network(mtcnn_weights["onet"]), path)
    request = BuildRequest(path, "", precision, batch_size=256, title="O-Net")
    with product.order(request) as order:
        assert (order.title, order.image) == (f"O-Net {precision}", "channels")
        assert build_in_process(order, gpu=0).warnings == 0
        network = builder.build(onnx.load(order.network))
    typed = "FLOAT" if precision == "fp32" else "HALF"
    assert network.types_of("CONVOLUTION") == network.types_of("MATRIX_MULTIPLY") == {typed}
    assert network.types == ["FLOAT"] * 4


def test_build_is_kept(product, small):
    assert product.build(small)
    store = product.store(small)
    assert store.load() is not None
    timings = "timing-TensorRT-11.4.0.106-no-GPU.cache"
    assert names(product.folder) == [f"{store.key}.engine", f"{store.key}.json", timings]
    assert product.build(small) is None


@pytest.mark.parametrize("damaged", [False, True])
def test_timing_cache(product, small, damaged):
    """The builder is given what it wrote; without a GPU it cannot read that, and says so."""
    with product.order(small) as order:
        assert build_in_process(order, gpu=0).warnings == 0
        timings = Path(order.timing_cache)
        written = timings.read_bytes()
        assert len(written) > 100
        if damaged:
            timings.write_bytes(b"damaged")
        assert build_in_process(order, gpu=0).warnings > 0
        assert "deserialize timing cache" in Path(order.log).read_text()
        assert len(timings.read_bytes()) == len(written)


def start_builder(order: Order, folder: Path) -> "subprocess.Popen[str]":
    """Start what `build_in_process` starts."""
    path = folder / "order.json"
    order.save(path)
    command = [sys.executable, "-m", plan.__name__, str(path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def test_progress(product, small, tmp_path):
    with product.order(small) as order, start_builder(order, tmp_path) as process:
        *steps, last = map(json.loads, process.stdout)
    assert {(said["phase"], said["steps"]) for said in steps} == {("Building engine", 6)}
    numbers = [said["step"] for said in steps]
    assert numbers == sorted(numbers)
    assert last["built"]["size"] > 0


def test_builder_ends_with_who_started_it(product, facenet_request, tmp_path):
    with product.order(facenet_request) as order:
        process = start_builder(order, tmp_path)
        builder_of(os.getpid())
        process.stdin.close()
        assert process.wait(timeout=60) == 1
        assert not Path(order.plan).exists()
        process.stdout.close()


def test_library_that_prints(product, small, monkeypatch, builder, tmp_path):
    noise = "import os\nos.write(1, b'[TRT] hello')\nfrom tensorrt_bindings import *\n"
    (tmp_path / "tensorrt.py").write_text(f"{noise}from tensorrt_bindings import __version__\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{builder.bindings.folder}")
    with product.order(small) as order:
        assert build_in_process(order, gpu=0).size > 0


def of_unknown_kind(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Nonsense"


def of_cut_weights(model: onnx.ModelProto) -> None:
    weights = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    weights.raw_data = weights.raw_data[:-1]


def failure(order: Order) -> str:
    """What is said of a build that fails, in one sentence; it leaves nothing but a log."""
    with pytest.raises(UserError) as error:
        build_in_process(order, gpu=0)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    assert not Path(order.plan).exists()
    assert not Path(order.timing_cache).exists()
    return sentence


@pytest.mark.parametrize(
    ("spoil", "reason", "logged"),
    [
        (of_unknown_kind, "Plugin not found", "Nonsense"),
        (of_cut_weights, "Failed to import initializer: stem.kernel", "Size mismatch"),
    ],
)
def test_unreadable_network(product, small, spoil, reason, logged):
    with product.order(small) as order:
        model = onnx.load(order.network)
        spoil(model)
        onnx.save(model, order.network)
        sentence = failure(order)
    assert sentence.startswith("TensorRT 11.4.0.106 cannot read the network: ")
    assert reason in sentence
    assert order.log in sentence
    assert logged in Path(order.log).read_text()
    assert names(product.folder) == [Path(order.log).name]


@given(st.binary(min_size=1, max_size=40))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_file_that_is_no_network(product, small, content):
    with product.order(small) as order:
        Path(order.network).write_bytes(content)
        failure(order)


def test_too_little_workspace(product, small):
    with product.order(small) as order:
        sentence = failure(replace(order, workspace=1 << 10))
    assert sentence.startswith("TensorRT 11.4.0.106 built no fp32 engine: ")
    assert "raise `workspace` above 9.53674e-07" in sentence


def test_builder_that_crashes(product, small):
    with product.order(small) as order:
        model = onnx.load(order.network)
        # The parser reads the name of the output without looking whether there is one.
        del next(node for node in model.graph.node if node.op_type == "Conv").output[:]
        onnx.save(model, order.network)
        sentence = failure(order)
    assert "Segmentation fault" in sentence
    assert order.log in sentence
    assert "plan.py" in Path(order.log).read_text()


def test_builder_that_is_killed(product, facenet_request):
    """As the system does where memory is short."""
    with product.order(facenet_request) as order, ThreadPoolExecutor(1) as thread:
        future = thread.submit(failure, order)
        os.kill(builder_of(os.getpid()), signal.SIGKILL)
        assert "builder was killed" in future.result()
    assert names(product.folder) == []


def test_log_of_an_earlier_build_goes(product, small):
    with product.order(small) as order:
        Path(order.log).write_text("error: of old")
        build_in_process(order, gpu=0)
    assert not Path(order.log).exists()


def start(product: Product, model: Path) -> "subprocess.Popen[str]":
    """Start a build in another process."""
    arguments = [product.capabilities.title.split()[1], str(product.folder), str(model)]
    pipe = subprocess.PIPE
    command = [sys.executable, str(REPOSITORY / "tests/rigs/tensorrt_rig/product.py"), *arguments]
    environment = {**os.environ, "TMPDIR": str(product.folder.parent)}
    environment["PYTHONPATH"] += f"{os.pathsep}{REPOSITORY}"
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_stopped_build(product, facenet_request, stop):
    process = start(product, facenet_request.model)
    builder = builder_of(process.pid)
    process.send_signal(stop)
    printed, errors = process.communicate(timeout=60)
    assert printed == ""
    if stop == signal.SIGINT:
        assert errors.endswith("KeyboardInterrupt\n")
        assert not is_running(builder)
        assert names(product.folder) == []
        assert names(product.folder.parent) == [product.folder.name]
    else:
        # Nothing could be cleared up, but the other process ends by itself.
        wait_until(lambda: not is_running(builder), seconds=1)


def test_two_processes_build_once(product, small):
    with locked(product.store(small).file(".lock"), "building this engine"):
        processes = [start(product, small.model) for _ in range(2)]
        for process in processes:
            assert process.stderr.readline().startswith("waiting for another process")
    printed = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert sorted(printed) == ["built", "loaded"]


@pytest.mark.parametrize("version", WITHOUT_BUILDER)
def test_no_driver(product, small, monkeypatch, version):
    bindings = WITHOUT_BUILDER[version].bindings()
    monkeypatch.setenv("PYTHONPATH", str(bindings.folder))
    with product.order(small) as order:
        assert failure(order) == (
            f"TensorRT {bindings.version} cannot start: API Usage Error (CUDA initialization "
            "failure with error: 35); see lfw-eval doctor"
        )


counts = st.none() | st.integers(0, 1 << 40)
orders = st.builds(
    Order,
    precision=st.sampled_from(PRECISIONS),
    quantization=st.sampled_from(["cache", "live", "qdq", None]),
    algorithm=st.sampled_from(["entropy", "minmax"]),
    workspace=counts,
    level=counts,
)


@given(orders)
def test_order_is_read_as_it_was_written(tmp_path_factory, order):
    path = tmp_path_factory.mktemp("order") / "order.json"
    order.save(path)
    assert Order.load(path) == order
