"""Execution contexts that run where their data lies, by a stand-in for TensorRT's runtime."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from cuda_on_cpu.device import CpuDevice
from tensorrt_rig.on_cpu import TensorRTOnCpu, plan_of

from lfw_eval.checkpoints.normalisation import accept_crops
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.store import StoredEngine
from lfw_eval.engines.tensorrt.engine import TensorRTEngine
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.engines.tensorrt.resident import ResidentNetwork, ResidentPlan
from lfw_eval.engines.tensorrt.stored_plan import StoredPlan
from lfw_eval.system.errors import UserError

LARGEST = 32
OUT_OF_MEMORY = "[checkMacros.cpp::catch::202] Error Code 2: OutOfMemory (no further information)"


@pytest.fixture
def device():
    return CpuDevice()


@pytest.fixture(scope="module")
def embedder(model) -> onnx.ModelProto:
    return accept_crops(onnx.load(model), "per-image")


@pytest.fixture(scope="module")
def expected(embedder, crops) -> np.ndarray:
    session = onnxruntime.InferenceSession(embedder.SerializeToString())
    return session.run(None, {"crops": crops})[0]


@pytest.fixture(params=["8.5.3", "8.6.1", "10.16.1", "11.4.0"])
def trt(request) -> TensorRTOnCpu:
    return TensorRTOnCpu(request.param)


@pytest.fixture
def plan(trt, device, embedder) -> ResidentPlan:
    return ResidentPlan(trt.module, device, plan_of(embedder, LARGEST))


def embed(network: ResidentNetwork, memory: Buffers, crops: np.ndarray) -> np.ndarray:
    """Run crops through a lane's memory, as whoever aligns on a GPU does."""
    stream = memory.device.stream()
    count = len(crops)
    embeddings = np.empty((count, 32), np.float32)
    tensors = {
        "crops": memory.reserve("crops", crops.nbytes),
        "embedding": memory.reserve("embedding", embeddings.nbytes),
    }
    stream.to_device(tensors["crops"], np.ascontiguousarray(crops))
    network.run(stream, count, tensors)
    stream.to_host(embeddings, tensors["embedding"])
    return embeddings


def test_runs_where_the_crops_lie(plan, device, crops, expected):
    assert plan.largest_batch == LARGEST
    with plan.execution() as network, Buffers(device) as memory:
        assert network.largest_batch == LARGEST
        for count in (1, LARGEST, 7, 7, 8):
            actual = embed(network, memory, crops[:count])
            np.testing.assert_allclose(actual, expected[:count], rtol=1e-4, atol=1e-5)


def test_sets_only_what_changes(plan, trt, device, crops):
    with plan.execution() as network, Buffers(device) as memory:
        embed(network, memory, crops[:LARGEST])
        embed(network, memory, crops[:5])
        trt.calls.clear()
        embed(network, memory, crops[:5])
        assert trt.calls == [("execute", 0)]
        trt.calls.clear()
        embed(network, memory, crops[:6])
        assert trt.calls == [("shape", "crops", (6, 160, 160, 3)), ("execute", 0)]
        trt.calls.clear()
        embed(network, Buffers(device), crops[:6])
        assert [call[:2] for call in trt.calls] == [
            ("address", "crops"),
            ("address", "embedding"),
            ("execute", 0),
        ]


def test_contexts_at_once(plan, trt, device, crops, expected):
    networks = [plan.execution() for _ in range(3)]

    def lane(number: int) -> None:
        with Buffers(device) as memory:
            for count in range(1 + number, LARGEST, 5):
                actual = embed(networks[number], memory, crops[-count:])
                np.testing.assert_allclose(actual, expected[-count:], rtol=1e-4, atol=1e-5)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lane, range(3)))
    for network in networks:
        network.close()
    assert trt.contexts == 0


def test_too_large_a_batch(plan, device, crops, expected):
    with plan.execution() as network, Buffers(device) as memory:
        embed(network, memory, crops[:9])
        with pytest.raises(UserError, match="TensorRT takes no batch of 33 for tensor crops"):
            embed(network, memory, crops[:33])
        np.testing.assert_allclose(embed(network, memory, crops[:9]), expected[:9], atol=1e-5)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (OUT_OF_MEMORY, r"GPU 0 \(processor\) has too little memory for a run of the engine"),
        ("Error Code 1: Cuda Runtime (illegal)", r"could not run the engine: Cuda Runtime \(ill"),
    ],
)
def test_run_that_fails(plan, trt, device, crops, failure, message):
    with plan.execution() as network, Buffers(device) as memory:
        trt.failure = failure
        with pytest.raises(UserError, match=message):
            embed(network, memory, crops[:9])


def test_too_little_memory_for_a_context(plan, trt):
    trt.failure = OUT_OF_MEMORY
    with pytest.raises(UserError, match="has too little memory for an execution context"):
        plan.execution()


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (OUT_OF_MEMORY, "has too little memory for the engine"),
        ("The engine plan file is not compatible", "cannot load the engine: The engine plan file"),
    ],
)
def test_plan_that_cannot_be_loaded(device, embedder, failure, message):
    with pytest.raises(UserError, match=message):
        ResidentPlan(TensorRTOnCpu(failure=failure).module, device, plan_of(embedder, LARGEST))


@pytest.fixture
def engine(trt, device, embedder, model):
    request = BuildRequest(model, "per-image", "fp32", options=TensorRTOptions(streams=3))
    stored = StoredEngine(Path("a.engine"), plan_of(embedder, LARGEST), {"seconds": 2})
    with TensorRTEngine(StoredPlan(request, trt.module, (device,), stored, "k"), None) as opened:
        yield opened
    assert trt.contexts == 0


def test_engine_on_crops_that_are_there(engine, trt, device, crops, expected):
    (output,) = engine.outputs
    with engine.resident(device) as network, Buffers(device) as memory:
        resident = embed(network, memory, crops[:20])
        # Nothing came from the host yet.
        assert trt.contexts == 1
        from_host = engine.run({"crops": crops[:20]})[output.name]
    np.testing.assert_array_equal(from_host, resident)
    np.testing.assert_allclose(resident, expected[:20], rtol=1e-4, atol=1e-5)


def test_engine_of_several_lanes(engine, trt, crops, expected):
    sizes = [5, 5, 5, 32, 1, 7, 7]
    batches = ({"crops": crops[a:b]} for a, b in pairwise(np.cumsum([0, *sizes])))
    (output,) = engine.outputs
    streamed = np.concatenate([outputs[output.name] for outputs in engine.stream(batches)])
    np.testing.assert_allclose(streamed, expected[: len(streamed)], rtol=1e-4, atol=1e-5)
    assert trt.contexts == (1 if trt.version == "8.5.3" else 3)
    with pytest.raises(UserError, match="takes batches of up to 32, not 33"):
        engine.run({"crops": crops[:33]})


def test_lanes_that_found_too_little_memory_are_opened_again(engine, trt, crops, expected):
    trt.failure = OUT_OF_MEMORY
    with pytest.raises(UserError, match="has too little memory for"):
        engine.run({"crops": crops[:4]})
    assert trt.contexts == 0
    trt.failure = ""
    (outputs,) = engine.run({"crops": crops[:4]}).values()
    np.testing.assert_allclose(outputs, expected[:4], rtol=1e-4, atol=1e-5)
