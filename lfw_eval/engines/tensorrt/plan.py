"""A network turned into a plan, TensorRT's built engine.

Runs in a process of its own (`python -m lfw_eval.engines.tensorrt.plan ORDER.json`), so that Ctrl-C
stops a build at once, a crash of the builder is an answer, and all of its memory is given back.
"""

import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.tensorrt_calibrator import cached_calibrator, live_calibrator
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.tensorrt.build_order import Built, Order
from lfw_eval.engines.tensorrt.capabilities import Capabilities
from lfw_eval.engines.tensorrt.library import capabilities_of, load_tensorrt
from lfw_eval.engines.tensorrt.log import Messages, one_line
from lfw_eval.engines.tensorrt.progress import Progress, progress_monitor
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically

# Sources of kernels that TensorRT 8 uses by default, and the versions of the libraries they need.
_TACTIC_LIBRARIES = {
    "CUBLAS": ("libcublas.so", (12, 11)),
    "CUBLAS_LT": ("libcublasLt.so", (12, 11)),
    "CUDNN": ("libcudnn.so", (8,)),
}


def build_plan(order: Order, progress: Progress) -> Built:
    """Build and write the plan; where that fails only the log is written.

    Raises:
        UserError: TensorRT cannot read the network or cannot build it.
    """
    started = time.monotonic()
    trt = load_tensorrt()
    messages = Messages(trt)
    try:
        plan = _build(trt, messages, order, progress)
    finally:
        messages.save(Path(order.log))
    write_atomically(Path(order.plan), plan)
    return Built(time.monotonic() - started, len(plan), len(messages.warnings))


def _build(trt: ModuleType, messages: Messages, order: Order, progress: Progress) -> bytes:
    capabilities = capabilities_of(trt)
    try:
        builder = trt.Builder(messages.logger)
    except Exception as error:  # pybind11's own, of no class of its own
        raise UserError(
            f"{capabilities.title} cannot start: {messages.failure()}", "see lfw-eval doctor"
        ) from error
    network = builder.create_network(_network_flags(trt, capabilities))
    parser = trt.OnnxParser(network, messages.logger)
    if not parser.parse(Path(order.network).read_bytes()):
        reason = parser.get_error(0).desc() if parser.num_errors else messages.failure()
        raise UserError(
            f"{capabilities.title} cannot read the network: {one_line(reason)}",
            f"{order.log} names the node",
        )
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network, order.batches))
    if order.workspace:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, order.workspace)
    if order.level is not None and capabilities.optimization_level:
        config.builder_optimization_level = order.level
    if capabilities.shared_profile_is_preview:
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
    if not order.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.set_tactic_sources(_tactic_sources(trt, config.get_tactic_sources()))
    if capabilities.precision_flags:
        _set_precision(trt, config, network, order)
    if capabilities.progress_monitor:
        config.progress_monitor = progress_monitor(trt, progress)
    timing = Path(order.timing_cache)
    timings = _timings(config, timing)
    with _calibrated(trt, builder, network, config, order, progress):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _failure(capabilities, messages, order)
    if timings is not None:
        write_atomically(timing, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _network_flags(trt: ModuleType, capabilities: Capabilities) -> int:
    flags = trt.NetworkDefinitionCreationFlag
    if capabilities.explicit_batch_flag:
        return 1 << int(flags.EXPLICIT_BATCH)
    return 1 << int(flags.STRONGLY_TYPED) if capabilities.strongly_typed else 0


def _profile(builder: Any, network: Any, batches: tuple[int, int, int]) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        profile.set_shape(tensor.name, *((batch, *tensor.shape[1:]) for batch in batches))
    return profile


def _timings(config: Any, path: Path) -> Any | None:
    """Give the builder its earlier measurements; a file that it refuses is replaced."""
    for content in (path.read_bytes() if path.is_file() else b"", b""):
        timings = config.create_timing_cache(content)
        if timings is not None and config.set_timing_cache(timings, ignore_mismatch=False):
            return timings
    return None


def _set_precision(trt: ModuleType, config: Any, network: Any, order: Order) -> None:
    """Let layers run in the precision, but those that have to stay in FP32."""
    if order.precision == "fp32":
        return
    if order.precision == "int8":
        config.set_flag(trt.BuilderFlag.INT8)
    if order.quantization == "qdq":
        # 8.6 builds no network of Q/DQ nodes and precision constraints together, and without
        # constraints FP16 could take the normalisation: what has no Q/DQ nodes stays FP32.
        return
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.get_output(0).dtype == trt.float32:
            layer.precision = trt.float32
        if layer.get_output(0).name == order.image:
            break
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.name in order.int8_layers and layer.type in _products(trt):
            layer.precision = trt.int8


def _products(trt: ModuleType) -> list[Any]:
    names = ("CONVOLUTION", "FULLY_CONNECTED", "MATRIX_MULTIPLY")
    return [getattr(trt.LayerType, name) for name in names if hasattr(trt.LayerType, name)]


def _tactic_sources(trt: ModuleType, asked: int) -> int:
    """Leave out those whose library is not installed: TensorRT would complain of each layer."""
    for name, (library, versions) in _TACTIC_LIBRARIES.items():
        source = getattr(trt.TacticSource, name, None)
        if source is not None and not any(_loads(f"{library}.{n}") for n in versions):
            asked &= ~(1 << int(source))
    return asked


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


@contextmanager
def _calibrated(
    trt: ModuleType, builder: Any, network: Any, config: Any, order: Order, progress: Progress
) -> Iterator[None]:
    """Have the calibrator set while the network is built, and its memory allocated."""
    if order.quantization == "cache" and order.cache:
        calibrator = cached_calibrator(trt, order.algorithm, order.cache.encode())
        config.int8_calibrator = calibrator
        yield
    elif order.quantization == "live" and order.crops and order.written_cache:
        crops = np.load(order.crops, mmap_mode="r")
        batch = min(len(crops), order.calibration_batch)
        written = Path(order.written_cache)
        (device,) = open_devices((0,))
        done = 0
        size = batch * crops[0].nbytes
        with device.active(), device.allocated(size) as address:
            stream = device.stream()
            host = device.page_locked((batch, *crops.shape[1:]), np.uint8)

            def upload(images: NDArray[np.uint8]) -> int:
                nonlocal done
                progress("calibrate", done, len(crops))
                done += batch
                host[:] = images
                stream.to_device(address, host)
                stream.synchronize()
                return address

            calibrator = live_calibrator(
                trt,
                order.algorithm,
                crops,
                batch,
                upload,
                lambda cache: write_atomically(written, cache),
            )
            config.int8_calibrator = calibrator
            config.set_calibration_profile(_profile(builder, network, (batch, batch, batch)))
            yield
            if calibrator.failure:
                raise calibrator.failure
    else:
        yield


def _failure(capabilities: Capabilities, messages: Messages, order: Order) -> UserError:
    failed = f"{capabilities.title} built no {order.precision} engine: {messages.failure()}"
    if order.int8_layers and not messages.out_of_memory():
        return UserError(
            failed, "leave `strict_precision` out: a layer has no int8 kernel, or a tensor no scale"
        )
    if not messages.out_of_memory():
        return UserError(failed, f"its messages are in {order.log}" if messages.text() else "")
    if order.workspace:
        return UserError(failed, f"raise `workspace` above {order.workspace / 2**30:g}")
    return UserError(failed, "lower `batch_size` or stop what else uses the GPU")


def _exit_with_parent() -> None:
    """End this process when the other end of its standard input goes."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Build the order; answer in lines of JSON."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    # TensorRT's libraries print as well: their output goes to standard error.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(**content: object) -> None:
        print(json.dumps(content), file=answers, flush=True)

    def progress(phase: str, step: int, steps: int) -> None:
        say(phase=phase, step=step, steps=steps)

    try:
        say(built=asdict(build_plan(Order.load(Path(sys.argv[1])), progress)))
    except UserError as error:
        say(error=[error.problem, error.hint])
    # Nothing is left to do, and TensorRT's destructors would run while the other thread reads.
    os._exit(0)


if __name__ == "__main__":
    main()
