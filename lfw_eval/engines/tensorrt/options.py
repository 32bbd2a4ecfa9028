"""What a user can ask of a TensorRT engine, beside its precision."""

from dataclasses import dataclass
from pathlib import Path

from calibration.cache import CalibrationCache
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.system.errors import UserError

GIB = 1 << 30

STREAMS = 12
"""Unasked: enough to keep an H200 busy while some copy. With 4 it waits for the host."""


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
    streams: int = STREAMS
    quantization: Quantization | None = None
    cache: Path | None = None
    tf32: bool = True
    workspace: int | None = None
    level: int | None = None

    def check(self, engine: str, precision: str) -> None:
        """Refuse what does not go together, before anything long begins.

        Raises:
            UserError: The options are for another engine or precision, contradict each other, or
                the cache is none.
        """
        # Requests to a server are under way at once as well.
        unasked = TensorRTOptions(streams=self.streams if "://" in engine else STREAMS)
        if engine != "tensorrt" and self != unasked:
            raise UserError(
                "`gpu`, `streams`, `quantization`, `calibration_cache`, `workspace`, "
                "`optimization_level` and `tf32` are for `engine` tensorrt, not "
                f"`engine` {engine}",
                "leave them out",
            )
        if self.cache is None:
            return
        if precision != "int8":
            raise UserError(f"`calibration_cache` is for `precision` int8, not {precision}")
        if self.quantization in ("live", "qdq"):
            raise UserError(
                f"`calibration_cache` and `quantization` {self.quantization} are two sources of "
                "scales",
                "leave one out",
            )
        CalibrationCache.load(self.cache)
