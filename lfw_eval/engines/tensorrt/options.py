"""What a user can ask of a TensorRT engine, beside its precision."""

from dataclasses import dataclass
from pathlib import Path

from lfw_eval.engines.tensorrt.capabilities import Quantization

GIB = 1 << 30


@dataclass(frozen=True)
class TensorRTOptions:
    """How to build and run.

    Attributes:
        gpus: Numbers of the GPUs to run on; the first one builds.
        streams: Execution contexts per GPU, each with a CUDA stream, of which as many batches are
            under way at once.
        quantization: The way to INT8; None takes the version's own.
        cache: The user's calibration cache, instead of one made of the scale table.
        tf32: Let FP32 convolutions round their factors to 10 bits (NVIDIA Ampere and newer).
        workspace: Bytes that a layer may use for itself; None lets TensorRT take what is free.
        level: Builder optimisation level, 0 to 5; None is TensorRT's own (3).
    """

    gpus: tuple[int, ...] = (0,)
    streams: int = 8
    quantization: Quantization | None = None
    cache: Path | None = None
    tf32: bool = True
    workspace: int | None = None
    level: int | None = None
