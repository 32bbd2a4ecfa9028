"""Embed LFW with INT8 engines that TensorRT 8.6 builds from calibration caches, on a GPU.

Usage: python benchmarks/cache_on_tensorrt.py LFW.tgz BOXES.csv OUT MODEL.onnx=CACHE ...

Builds an engine for every pair of network and cache (all at once, in a process of its own), runs
the crops around BOXES (grown by 10 %, per-image standardisation) and writes OUT/CACHE.npy, float16
(n, 128), rows in the order of BOXES. `benchmarks/cache_accuracy.py` evaluates them.

Stands alone: it needs tensorrt 8.6, cuda-python 12, numpy and OpenCV, and nothing of lfw-eval.
"""

import argparse
import csv
import tarfile
import time
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import tensorrt as trt
from cuda import cudart
from numpy.typing import NDArray

BATCH = 64
MARGIN = 0.1
WORKSPACE = 8 << 30


class CachedCalibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]
    """Hands a cache over; it never has a batch, so a tensor without a scale stays without."""

    def __init__(self, cache: bytes) -> None:
        super().__init__()
        self._cache = cache

    def get_batch_size(self) -> int:
        """TensorRT asks for it, cache or not."""
        return BATCH

    def get_batch(self, names: list[str]) -> None:
        """Nothing to calibrate on."""

    def read_calibration_cache(self) -> bytes:
        """Return the cache."""
        return self._cache

    def write_calibration_cache(self, cache: bytes) -> None:
        """TensorRT writes back what it read."""


def check(result: tuple[object, ...]) -> object:
    """Return what a CUDA call gave, unless it failed."""
    if result[0] != cudart.cudaError_t.cudaSuccess:
        raise RuntimeError(f"CUDA: {result[0]}")
    return result[1] if len(result) > 1 else None


def read_crops(lfw: Path, boxes: Path) -> NDArray[np.uint8]:
    """Crops (n, 160, 160, 3) RGB, in the order of the boxes."""
    with boxes.open() as file:
        rows = list(csv.DictReader(file))
    crops = np.empty((len(rows), 160, 160, 3), np.uint8)
    with tarfile.open(lfw) as archive:
        members = {Path(m.name).stem: m for m in archive.getmembers() if m.isfile()}
        for index, row in enumerate(rows):
            photograph = archive.extractfile(members[row["image"]])
            if photograph is None:
                raise FileNotFoundError(row["image"])
            coded = np.frombuffer(photograph.read(), np.uint8)
            image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
            x, y, w, h = (float(row[key]) for key in "xywh")
            left, top = x - MARGIN * w, y - MARGIN * h
            right, bottom = x + (1 + MARGIN) * w, y + (1 + MARGIN) * h
            x0, y0, x1, y1 = (max(round(edge), 0) for edge in (left, top, right, bottom))
            crops[index] = cv2.resize(np.ascontiguousarray(image[y0:y1, x0:x1]), (160, 160))
    return crops


def standardised(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Per-image standardisation, (n, 160, 160, 3) to (n, 3, 160, 160)."""
    images = crops.astype(np.float32)
    mean = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    std = images.std(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
    std = np.maximum(std, 1 / np.sqrt(images[0].size))
    return np.ascontiguousarray(((images - mean) / std).transpose(0, 3, 1, 2), dtype=np.float32)


def build(model: Path, cache: Path) -> bytes:
    """Build an INT8 engine with implicit quantization from a cache."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model.read_bytes()):
        raise RuntimeError("\n".join(str(parser.get_error(n)) for n in range(parser.num_errors)))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    # cuBLAS and cuDNN are not needed, and not everywhere installed.
    tactics = (trt.TacticSource.EDGE_MASK_CONVOLUTIONS, trt.TacticSource.JIT_CONVOLUTIONS)
    config.set_tactic_sources(sum(1 << int(source) for source in tactics))
    config.set_flag(trt.BuilderFlag.INT8)
    config.int8_calibrator = CachedCalibrator(cache.read_bytes())
    profile = builder.create_optimization_profile()
    source = network.get_input(0)
    shape = (BATCH, 3, 160, 160)
    profile.set_shape(source.name, shape, shape, shape)
    config.add_optimization_profile(profile)
    config.set_calibration_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(f"TensorRT built no engine of {model} and {cache}")
    return bytes(plan)


def embed(plan: bytes, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run all crops; float32 (n, 128)."""
    engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(n) for n in range(engine.num_io_tensors)]
    shape = (BATCH, 3, 160, 160)
    context.set_input_shape(names[0], shape)
    output = np.empty(tuple(context.get_tensor_shape(names[1])), np.float32)
    memory = [check(cudart.cudaMalloc(4 * int(np.prod(s)))) for s in (shape, output.shape)]
    for name, address in zip(names, memory, strict=True):
        context.set_tensor_address(name, address)
    to_device = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
    to_host = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
    embeddings = []
    for start in range(0, len(crops), BATCH):
        images = standardised(crops[start : start + BATCH])
        padded = np.zeros(shape, np.float32)
        padded[: len(images)] = images
        check(cudart.cudaMemcpy(memory[0], padded.ctypes.data, padded.nbytes, to_device))
        if not context.execute_async_v3(0):
            raise RuntimeError("TensorRT could not run the engine")
        check(cudart.cudaMemcpy(output.ctypes.data, memory[1], output.nbytes, to_host))
        embeddings.append(output[: len(images)].copy())
    return np.concatenate(embeddings)


def job(model: str, cache: str, crops: str, out: str) -> None:
    """Build and run one engine."""
    start = time.perf_counter()
    plan = build(Path(model), Path(cache))
    built = time.perf_counter()
    embeddings = embed(plan, np.load(crops, mmap_mode="r"))
    np.save(Path(out) / f"{Path(cache).stem}.npy", embeddings.astype(np.float16))
    size = len(plan) / 1e6
    print(f"{Path(cache).name}: built in {built - start:.0f} s, {size:.1f} MB", flush=True)


def main() -> None:
    """Build and run all engines."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("boxes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="MODEL=CACHE")
    options = parser.parse_args()
    crops = options.out / "crops.npy"
    np.save(crops, read_crops(options.lfw, options.boxes))
    context = get_context("spawn")
    running = []
    for pair in options.pairs:
        model, _, cache = pair.partition("=")
        arguments = (model, cache, str(crops), str(options.out))
        running.append(context.Process(target=job, args=arguments))
        running[-1].start()
    for process in running:
        process.join()
    crops.unlink()
    if any(process.exitcode for process in running):
        raise SystemExit("an engine could not be built or run; see above")


if __name__ == "__main__":
    main()
