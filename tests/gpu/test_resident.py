"""TensorRT networks that run where their data lies, on a GPU."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import pytest
from command import lfw_eval

from lfw_eval.checkpoints.mtcnn import output_network, refinement_network
from lfw_eval.detectors.cuda_mtcnn import networks
from lfw_eval.detectors.cuda_mtcnn.networks import MtcnnEngines
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.cuda.memory import Buffers
from lfw_eval.engines.device_network import DeviceNetwork
from lfw_eval.engines.tensorrt.engine import TensorRTEngine
from lfw_eval.engines.tensorrt.options import TensorRTOptions
from lfw_eval.sources import checkpoints
from lfw_eval.system.errors import UserError

pytestmark = pytest.mark.gpu

Outputs = dict[str, np.ndarray]

# Of probabilities, shifts and landmarks, all about 1. TF32 and float16 round factors to 10 bits.
TOLERANCES = {"fp32": 1e-4, "tf32": 0.02, "fp16": 0.02}


def run(device: Device, network: DeviceNetwork, outputs: Outputs, *batches: Outputs) -> Outputs:
    """Run batches one after another on a stream of its own; fill and return the last's outputs."""
    with device.active(), Buffers(device) as memory:
        stream = device.stream()
        for batch in batches:
            count = len(next(iter(batch.values())))
            tensors = {}
            for name, values in batch.items():
                tensors[name] = memory.reserve(name, values.nbytes)
                host = memory.page_locked(name, values.shape, values.dtype)
                host[:] = values
                stream.to_device(tensors[name], host)
            for name, values in outputs.items():
                tensors[name] = memory.reserve(name, values.nbytes)
            network.run(stream, count, tensors)
            stream.synchronize()
        for name, values in outputs.items():
            host = memory.page_locked(name, values.shape, values.dtype)
            stream.to_host(host, tensors[name])
            stream.synchronize()
            values[:] = host
    return outputs


@pytest.fixture(scope="module", params=list(TOLERANCES))
def engines(request, gpu, mtcnn_weights):
    """MTCNN's engines, and how far they may be from ONNX Runtime."""
    precision = "fp16" if request.param == "fp16" else "fp32"
    with pytest.MonkeyPatch.context() as patched:
        if request.param != "tf32":
            # These are built for the tests alone, and TF32's are the product's.
            patched.setattr(networks, "LEVEL", 0)
        with MtcnnEngines(mtcnn_weights, (0,), precision, tf32=request.param == "tf32") as built:
            yield built, TOLERANCES[request.param]


@dataclass(frozen=True)
class Judge:
    """R- or O-Net: lanes of it, the side of its patches, and its outputs by ONNX Runtime."""

    lanes: tuple[DeviceNetwork, ...]
    side: int
    session: onnxruntime.InferenceSession
    tolerance: float

    def expected(self, pixels: np.ndarray) -> Outputs:
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {"pixels": pixels}), strict=True))

    def assert_close(self, outputs: Outputs, pixels: np.ndarray) -> None:
        """Compare the last rows of outputs with what the patches should have."""
        for name, values in self.expected(pixels).items():
            rows = outputs[name][-len(pixels) :]
            np.testing.assert_allclose(rows, values, rtol=0, atol=self.tolerance, err_msg=name)


@pytest.fixture(scope="module", params=[0, 1], ids=["R-Net", "O-Net"])
def judge(request, gpu, engines, mtcnn_weights):
    built, tolerance = engines
    lanes = tuple(built.networks(gpu)[request.param] for _ in range(4))
    name, side, convert = (("rnet", 24, refinement_network), ("onet", 48, output_network))[
        request.param
    ]
    model = convert(mtcnn_weights[name]).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return Judge(lanes, side, session, tolerance)


def patches(count: int, side: int) -> np.ndarray:
    """Smooth random patches, float32 (count, side, side, 3) of 0 to 255."""
    coarse = np.random.default_rng(count).uniform(0, 255, (count, 6, 6, 3))
    return coarse.repeat(side // 6, axis=1).repeat(side // 6, axis=2).astype(np.float32)


def outputs_of(judge: Judge, count: int) -> Outputs:
    """Room for the outputs of a batch."""
    few = judge.expected(patches(1, judge.side))
    return {name: np.empty((count, *values.shape[1:]), np.float32) for name, values in few.items()}


@pytest.mark.parametrize("count", [1, 7, 500])
def test_mtcnn_agrees_with_onnx_runtime(gpu, judge, count):
    pixels = patches(count, judge.side)
    # A smaller batch before it, so that the size changes in between.
    batches = [{"pixels": values} for values in (patches(1 + count // 2, judge.side), pixels)]
    judge.assert_close(run(gpu, judge.lanes[0], outputs_of(judge, count), *batches), pixels)


def test_largest_batch(gpu, judge):
    count = judge.lanes[0].largest_batch
    pixels = patches(count, judge.side)
    outputs = run(gpu, judge.lanes[0], outputs_of(judge, count), {"pixels": pixels})
    judge.assert_close(outputs, pixels[-50:])
    with pytest.raises(UserError, match=f"takes no batch of {count + 1} for tensor pixels"):
        run(gpu, judge.lanes[0], {}, {"pixels": patches(count + 1, judge.side)})


def test_lanes_at_once(gpu, judge):
    def lane(number: int) -> None:
        for count in range(20 + number, 400, 60):
            pixels = patches(count, judge.side)
            outputs = outputs_of(judge, count)
            judge.assert_close(run(gpu, judge.lanes[number], outputs, {"pixels": pixels}), pixels)

    with ThreadPoolExecutor(len(judge.lanes)) as pool:
        list(pool.map(lane, range(len(judge.lanes))))


def test_verb_that_builds_ahead(real_data, tmp_path):
    """Nothing of MTCNN is left to be built for an engine that aligns on its GPU."""
    options = ["--engine", "tensorrt", "--precision", "fp32", "--optimization-level", "0"]
    done = lfw_eval("build", str(real_data / "lfw.tgz"), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("rnet", "onet"):
        assert list(checkpoints().root.glob(f"mtcnn-{name}-*/engines/*.engine"))
    assert list((checkpoints().root / "kernels").glob("*.cubin"))


@pytest.fixture(scope="module")
def embedder(network, tmp_path_factory):
    """A small FaceNet, which takes uint8 crops."""
    folder = tmp_path_factory.mktemp("embedder")
    onnx.save(network, folder / "fp32.onnx")
    options = TensorRTOptions(optimization_level=0, streams=2)
    request = BuildRequest(
        folder / "fp32.onnx", "per-image", "fp16", batch_size=64, options=options
    )
    with TensorRTEngine.build(request, folder) as engine:
        yield engine


@pytest.mark.parametrize("count", [1, 33, 64])
def test_engine_on_crops_that_are_there(gpu, embedder, crops, count):
    """The same as a run of the engine, to the bit; both at once do not disturb each other."""
    (source,), (output,) = embedder.inputs, embedder.outputs
    wanted = embedder.run({source.name: crops[:count]})[output.name]
    with embedder.resident(gpu) as network, ThreadPoolExecutor(1) as pool:
        assert network.largest_batch == 64
        again = pool.submit(lambda: [embedder.run({source.name: crops[:count]}) for _ in range(20)])
        for _ in range(20):
            outputs = {output.name: np.empty_like(wanted)}
            run(gpu, network, outputs, {source.name: crops[:count]})
            np.testing.assert_array_equal(outputs[output.name], wanted)
        for outputs in again.result():
            np.testing.assert_array_equal(outputs[output.name], wanted)


def test_contexts_give_their_memory_back(gpu, embedder):
    with gpu.active():
        embedder.resident(gpu).close()
        free, _ = gpu.memory()
        for _ in range(5):
            embedder.resident(gpu).close()
        assert gpu.memory()[0] >= free - (2 << 20)


def test_memory_that_is_short(gpu, engines):
    built, _ = engines
    with gpu.active():
        free, _ = gpu.memory()
        with (
            gpu.allocated(free - (64 << 20)),
            pytest.raises(UserError, match=r"GPU 0 .* too little memory for an execution context"),
        ):
            for _ in range(4):
                built.networks(gpu)
    built.networks(gpu)
