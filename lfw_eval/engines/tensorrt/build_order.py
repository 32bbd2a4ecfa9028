"""The order to the process that builds a plan, and its answer."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from calibration.tensorrt_calibrator import Algorithm
from lfw_eval.engines.contract import Precision
from lfw_eval.engines.tensorrt.capabilities import Quantization


@dataclass(frozen=True)
class Order:
    """What to build; files are given as paths.

    Attributes:
        title: What progress calls it.
        network: ONNX file, such as one whose input is uint8 (n, 160, 160, 3) crops; Q/DQ nodes and
            float16 tensors are in it where the version is strongly typed.
        plan: The file to write.
        log: The file for TensorRT's warnings.
        image: The tensor of normalised images. What makes it stays in FP32 whatever the precision.
        int8_layers: Names of the layers that may run in INT8 alone, for quantization by a cache or
            "live"; Q/DQ nodes say so by themselves.
        batches: Smallest, optimal and largest batch.
        cache: Calibration cache to build from; its header is of this version.
        crops: .npy of uint8 (n, 160, 160, 3) to calibrate on, for quantization "live".
        calibration_batch: How many of them the calibrator is fed at a time.
        written_cache: The file for the cache that a live calibration makes.
        timing_cache: File of measured kernels, read and written.
        workspace: Bytes; None for what is free.
    """

    title: str
    network: str
    plan: str
    log: str
    precision: Precision
    quantization: Quantization | None
    image: str
    int8_layers: tuple[str, ...]
    batches: tuple[int, int, int]
    algorithm: Algorithm
    cache: str | None
    crops: str | None
    calibration_batch: int
    written_cache: str | None
    timing_cache: str
    tf32: bool
    workspace: int | None
    level: int | None

    @classmethod
    def load(cls, path: Path) -> "Order":
        """Read what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        for name in ("batches", "int8_layers"):
            content[name] = tuple(content[name])
        return cls(**content)

    def save(self, path: Path) -> None:
        """Write the order as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


@dataclass(frozen=True)
class Built:
    """The outcome of a build: seconds, bytes of the plan, and number of different warnings."""

    seconds: float
    size: int
    warnings: int
