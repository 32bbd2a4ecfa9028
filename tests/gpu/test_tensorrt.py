"""What needs an NVIDIA GPU and TensorRT: `pytest -m gpu`."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from colour_network import colour_network

import lfw_eval.engines.cuda
from calibration.cache import CalibrationCache, calibration_cache, changes
from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.cuda import LIBRARIES, device_class, open_devices
from lfw_eval.engines.registry import engine_class
from lfw_eval.engines.strict import require_int8
from lfw_eval.engines.tensorrt.library import capabilities_of, load_tensorrt
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.results.executed import UNIDENTIFIED
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.gpu


@pytest.fixture(params=LIBRARIES)
def library(request, monkeypatch):
    """Each of the libraries by itself."""
    try:
        device_class(request.param)
    except UserError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(
        lfw_eval.engines.cuda, "LIBRARIES", {request.param: LIBRARIES[request.param]}
    )
    return request.param


@pytest.fixture
def device(library):
    (device,) = open_devices((0,))
    with device.active():
        yield device


@pytest.fixture(scope="module")
def model(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("model") / "fp32.onnx"
    onnx.save(network, path)
    return path


@pytest.fixture(scope="module")
def scales(model, crops, scale_table):
    network = onnx.load(model)
    return scale_table(network, accept_crops(network, "per-image"), [{"crops": crops}])


@pytest.fixture(scope="module")
def request_for(model, scales, crops):
    def request(precision="fp32", level=0, **options):
        return BuildRequest(
            model,
            "per-image",
            precision,
            scales if precision == "int8" else None,
            batch_size=32,
            calibration_crops=lambda: crops,
            options=TensorRTOptions(optimization_level=level, **options),
        )

    return request


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where engines are kept that several tests use."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def reference(request_for, crops, folder):
    with engine_class("onnxruntime").build(request_for(), folder) as engine:
        return embed(engine, crops)


def build(request, folder):
    return engine_class("tensorrt").build(request, folder)


def embed(engine, crops):
    (source,), (output,) = engine.inputs, engine.outputs
    batches = ({source.name: crops[i : i + 32]} for i in range(0, len(crops), 32))
    return np.concatenate([outputs[output.name] for outputs in engine.stream(batches)])


def built(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.engine")}


def test_device(device):
    assert device.name
    assert device.capability >= (5, 3)
    free, total = device.memory()
    assert 0 < free <= total
    assert float(device.driver()) >= 11


def test_copies(device):
    stream = device.stream()
    there = device.page_locked((1000, 7), np.float32)
    back = device.page_locked((1000, 7), np.float32)
    there[:] = np.random.default_rng(0).normal(size=there.shape)
    with device.allocated(there.nbytes) as address:
        before = stream.record()
        stream.to_device(address, there)
        stream.to_host(back, address)
        assert stream.record().milliseconds_since(before) > 0
        stream.synchronize()
    np.testing.assert_array_equal(back, there)


def test_allocations_are_given_back(device):
    free, _ = device.memory()
    with device.allocated(1 << 30):
        assert device.memory()[0] <= free - (1 << 30)
    assert device.memory()[0] >= free - (1 << 20)


def test_graph(device):
    if not device.graphs:
        pytest.skip(f"{device.library} has no CUDA graphs")
    stream = device.stream()
    there, back = (device.page_locked((100,), np.uint8) for _ in range(2))
    with device.allocated(100) as address:

        def both():
            stream.to_device(address, there)
            stream.to_host(back, address)

        graph = stream.capture(both)
        for value in (3, 5):
            there[:] = value
            graph.launch(stream)
            stream.synchronize()
            assert (back == value).all()


def test_too_large_an_allocation(device):
    with pytest.raises(UserError, match=r"GPU 0 \(.*\) has too little memory .* GiB are free"):
        device.allocate(1 << 50)
    # The device goes on working.
    with device.allocated(1 << 20):
        pass


def test_page_locked_memory_outlives_its_views(device):
    view = device.page_locked((10, 10), np.uint8)[2:]
    view[:] = 1
    assert view.sum() == 80


def test_unknown_gpu(library):
    with pytest.raises(UserError, match="`gpu` 99 does not exist"):
        open_devices((99,))


@pytest.mark.parametrize(
    ("precision", "options", "cosine"),
    [
        ("fp32", {"tf32": False}, 0.999999),
        ("fp32", {"level": None}, 0.99999),
        ("fp16", {}, 0.9999),
        ("int8", {"quantization": "cache"}, 0.99),
        ("int8", {"quantization": "live"}, 0.99),
        ("int8", {"quantization": "qdq"}, 0.99),
    ],
)
def test_agrees_with_onnx_runtime(
    request_for, crops, reference, folder, precision, options, cosine
):
    with build(request_for(precision, **options), folder) as engine:
        assert (engine.inputs[0].dtype, engine.inputs[0].shape) == ("uint8", (-1, 160, 160, 3))
        assert mean_cosine(reference, embed(engine, crops)).minimum > cosine


@pytest.mark.parametrize(
    ("precision", "options", "cosine"),
    [
        ("fp32", {"tf32": False}, 0.999999),
        ("fp16", {}, 0.9999),
        ("int8", {"quantization": "cache"}, 0.99),
        ("int8", {"quantization": "qdq"}, 0.99),
    ],
)
def test_bgr_crops_that_are_not_square(tmp_path, scale_table, precision, options, cosine):
    way, path, network = "104,117,123,57,58,59 BGR", tmp_path / "colours.onnx", colour_network()
    onnx.save(network, path)
    crops = np.random.default_rng(0).integers(0, 256, (64, 40, 32, 3), np.uint8)
    accepting = accept_crops(network, way)
    table = scale_table(network, accepting, [{"crops": crops}]) if precision == "int8" else None
    reversed_crops = np.ascontiguousarray(crops[..., ::-1])
    rgb = BuildRequest(path, way.removesuffix(" BGR"), "fp32", batch_size=32)
    with engine_class("onnxruntime").build(rgb, tmp_path) as engine:
        expected = embed(engine, reversed_crops)
    request = BuildRequest(path, way, precision, table, 32, options=TensorRTOptions(**options))
    with build(request, tmp_path) as engine:
        assert (engine.inputs[0].dtype, engine.inputs[0].shape) == ("uint8", (-1, 40, 32, 3))
        assert mean_cosine(expected, embed(engine, crops)).minimum > cosine


@pytest.mark.parametrize(
    ("precision", "options", "kind"),
    [
        ("fp32", {}, "float32"),
        ("fp16", {}, "float16"),
        ("int8", {"quantization": "qdq"}, "int8"),
    ],
)
def test_types_that_it_runs_in(request_for, folder, precision, options, kind):
    with build(request_for(precision, **options), folder) as engine:
        assert engine.executed is not None
        assert engine.executed.total.layers == 5
        # TensorRT is free to take FP32 for layers as small as these where FP16 is allowed.
        assert kind in engine.executed.by_type
        assert precision == "fp16" or engine.executed.share(precision) > 0.5
        assert UNIDENTIFIED not in engine.executed.by_type
        with build(request_for(precision, **options), folder) as again:
            assert (again.executed, again.arithmetic) == (engine.executed, engine.arithmetic)


@pytest.mark.parametrize("quantization", ["cache", "live"])
def test_strict_precision(request_for, crops, reference, folder, quantization):
    if not capabilities_of(load_tensorrt()).calibrators:
        pytest.skip("this version has Q/DQ networks only")
    request = request_for("int8", quantization=quantization)
    strict = dataclasses.replace(request, strict_precision=True)
    with build(strict, folder) as engine, build(request, folder) as free:
        assert engine.key != free.key
        assert engine.executed is not None
        assert not engine.executed.not_int8
        assert engine.executed.share("int8") == 1
        require_int8(engine)
        assert mean_cosine(reference, embed(engine, crops)).minimum > 0.98


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_every_layer_has_a_time(request_for, crops, tmp_path, precision):
    request = request_for(precision)
    times = engine_class("tensorrt").layer_times(request, tmp_path, {"crops": crops[:8]})
    assert len(times) == 5
    assert all(0 < time < 100 for time in times.values())


def test_what_is_built_loads_beside_others(request_for, folder, tmp_path):
    with build(request_for(), folder):
        assert engine_class("tensorrt").loads_beside_others(request_for(), folder)
    assert not engine_class("tensorrt").loads_beside_others(request_for(), tmp_path)


def test_either_library_runs_the_engine(library, request_for, crops, reference, folder):
    with build(request_for(), folder) as engine:
        first = embed(engine, crops)
        assert mean_cosine(reference, first).minimum > 0.9999
        for _ in range(5):
            np.testing.assert_array_equal(embed(engine, crops), first)
        timing = engine.time_resident({engine.inputs[0].name: crops[:32]}, 0.2)
        assert timing.fps > 0
        assert (timing.latency_ms > 0).all()


def test_our_scales_are_those_of_the_calibrator(request_for, scales, tmp_path):
    """The same crops in TensorRT's own calibrator; it takes batches of 64, as ours do."""
    build(request_for("int8", quantization="live"), tmp_path).close()
    (path,) = tmp_path.glob("????????????????.cache")
    release = capabilities_of(load_tensorrt()).release
    ours = CalibrationCache.parse(calibration_cache(scales, release).encode(), "ours")
    live = CalibrationCache.load(path)
    assert live.version == release
    moved = [change for change in changes(live.named, ours.named) if change.relative > 0.03]
    common = live.named.keys() & ours.named.keys()
    assert len(common) > 5
    assert len(moved) <= 0.1 * len(common)


def test_an_engine_is_built_once(request_for, crops, tmp_path):
    with build(request_for(), tmp_path) as engine:
        first, seconds = embed(engine, crops), engine.build_seconds
    before = built(tmp_path)
    with build(request_for(), tmp_path) as engine:
        np.testing.assert_array_equal(embed(engine, crops), first)
        assert engine.build_seconds == seconds
    assert built(tmp_path) == before
    (record,) = tmp_path.glob("????????????????.json")
    assert json.loads(record.read_text())["runtime"].startswith("TensorRT")


@pytest.mark.parametrize("damage", ["truncated", "another version's"])
def test_a_damaged_engine_is_built_again(request_for, crops, tmp_path, damage):
    with build(request_for(), tmp_path) as engine:
        first = embed(engine, crops)
    (path,) = tmp_path.glob("*.engine")
    content = path.read_bytes()
    path.write_bytes(content[:1000] if damage == "truncated" else b"x" * 100 + content[100:])
    with build(request_for(), tmp_path) as engine:
        np.testing.assert_allclose(embed(engine, crops), first, rtol=1e-2, atol=1e-2)
    assert path.stat().st_size > 1000


def test_threads_share_an_engine(request_for, crops, folder):
    with build(request_for(), folder) as engine:
        name = engine.inputs[0].name
        expected = embed(engine, crops[:32])

        def run(index):
            size = 1 + index % 32
            (outputs,) = engine.run({name: crops[:size]}).values()
            np.testing.assert_allclose(outputs, expected[:size], rtol=0.02, atol=0.02)
            return size

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(run, range(200))) > 200


def test_several_gpus(request_for, crops, folder):
    count = device_class().count()
    if count < 2:
        pytest.skip("this machine has one GPU")
    with build(request_for(gpu=(0,)), folder) as engine:
        expected = embed(engine, crops)
    with build(request_for(gpu=tuple(range(count))), folder) as engine:
        assert engine.device.startswith(f"{count} x ")
        for _ in range(10):
            np.testing.assert_allclose(embed(engine, crops), expected, rtol=0.01, atol=0.01)
    with build(request_for(gpu=(1,)), folder) as engine:
        np.testing.assert_allclose(embed(engine, crops), expected, rtol=0.01, atol=0.01)


def test_a_batch_that_is_too_large(request_for, crops, folder):
    with (
        build(request_for(), folder) as engine,
        pytest.raises(UserError, match="takes batches of up to 32, not 64"),
    ):
        engine.run({engine.inputs[0].name: crops})


def test_a_cache_of_another_version(request_for, scales, tmp_path):
    cache = tmp_path / "old.cache"
    cache.write_text(calibration_cache(scales, "7.2.3"))
    request = request_for("int8", calibration_cache=cache)
    with pytest.raises(UserError, match=r"is a cache of TensorRT 7\.2\.3.*cache convert"):
        build(request, tmp_path)
    assert not built(tmp_path)


def test_a_users_cache(request_for, scales, crops, reference, tmp_path):
    cache = tmp_path / "own.cache"
    cache.write_text(calibration_cache(scales, capabilities_of(load_tensorrt()).release))
    request = dataclasses.replace(request_for("int8", calibration_cache=cache), scales=None)
    with build(request, tmp_path) as engine:
        assert mean_cosine(reference, embed(engine, crops)).minimum > 0.99


def test_memory_that_is_short_when_it_runs(request_for, crops, folder):
    build(request_for(), folder).close()
    (device,) = open_devices((0,))
    with device.active():
        free, _ = device.memory()
        with (
            device.allocated(free - (64 << 20)),
            pytest.raises(UserError, match=r"too little memory|cannot load"),
            build(request_for(), folder) as engine,
        ):
            embed(engine, crops)
    build(request_for(), folder).close()


def test_memory_that_is_short_when_it_is_built(request_for, tmp_path):
    (device,) = open_devices((0,))
    with device.active():
        free, _ = device.memory()
        with device.allocated(free - (64 << 20)), pytest.raises(UserError, match=r"TensorRT"):
            build(request_for(), tmp_path)
    assert not built(tmp_path)
    build(request_for(), tmp_path).close()


def test_two_processes_at_once(request_for, tmp_path):
    """They are threads here: each build is a process of its own, and the lock is a file's."""
    before = threading.active_count()
    with ThreadPoolExecutor(2) as pool:
        engines = list(pool.map(lambda _: build(request_for(), tmp_path), range(2)))
    for engine in engines:
        engine.close()
    assert len(built(tmp_path)) == 1
    assert engines[0].build_seconds == engines[1].build_seconds
    assert threading.active_count() <= before + 1


_BUILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.registry import engine_class
request = BuildRequest(Path(sys.argv[1]), "per-image", "fp16", batch_size=48)
print("started", flush=True)
engine_class("tensorrt").build(request, Path(sys.argv[2])).close()
"""


def commands_running():
    command_lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command_lines.append(path.read_text(errors="replace"))
    return "\n".join(command_lines)


def test_ctrl_c_during_a_build(facenet, tmp_path):
    engines, temporary = tmp_path / "engines", tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(facenet.model), str(engines)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # So that the builder can be told from those of other tests: its order lies there.
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(12)
    interrupted = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - interrupted < 5
    assert "KeyboardInterrupt" in errors
    assert [p.name for p in engines.iterdir() if p.suffix != ".lock"] == []
    assert list(temporary.iterdir()) == []
    assert str(temporary) not in commands_running()


def test_two_real_processes(request_for, model, tmp_path):
    command = [sys.executable, "-c", _BUILD, str(model), str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(built(tmp_path)) == 1
    assert any("waiting for another process" in text for text in said)
