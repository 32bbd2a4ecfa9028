"""The options of a TensorRT engine, besides its precision."""

from dataclasses import dataclass, replace

from lfw_eval.engines.cached_scales import CacheOptions
from lfw_eval.engines.contract import STREAMS, Precision
from lfw_eval.engines.tensorrt.capabilities import Quantization
from lfw_eval.system.errors import UserError

GIB = 1 << 30
_AMPERE = (8, 0)


@dataclass(frozen=True)
class TensorRTOptions(CacheOptions):
    """How to build and run.

    Attributes:
        gpu: Numbers of the GPUs to run on; the first one builds.
        streams: Execution contexts per GPU, each with a CUDA stream, of which as many batches are
            under way at once.
        quantization: Where INT8 scales come from; None takes the version's default.
        workspace: Bytes that a layer may use for itself; None lets TensorRT take what is free.
        optimization_level: The builder's, 0 to 5; None is TensorRT's own (3).
        tf32: Let FP32 convolutions round their factors to 10 bits (NVIDIA Ampere and newer).
    """

    gpu: tuple[int, ...] = (0,)
    streams: int = STREAMS
    quantization: Quantization | None = None
    workspace: int | None = None
    optimization_level: int | None = None
    tf32: bool = True

    @property
    def gpus(self) -> tuple[int, ...]:
        """Numbers of the GPUs that the engine runs on."""
        return self.gpu

    def on(self, gpus: tuple[int, ...]) -> "TensorRTOptions":
        """Return the same on other GPUs."""
        return replace(self, gpu=gpus)

    def without_int8(self) -> "TensorRTOptions":
        """Return the same without what concerns INT8."""
        return replace(super().without_int8(), quantization=None)

    def check(self, precision: Precision) -> None:
        """Refuse what does not go together, before anything long begins.

        Raises:
            UserError: A calibration cache is for another precision, or not the only source of
                scales.
        """
        super().check(precision)
        if self.calibration_cache and self.quantization in ("live", "qdq"):
            raise UserError(
                f"`calibration_cache` and `quantization` {self.quantization} are two sources of "
                "scales",
                "leave one out",
            )

    def floating_arithmetic(self, precision: Precision, capability: tuple[int, int]) -> str:
        """Return in words what an engine computes in where nothing is quantised.

        Args:
            precision: Of the engine.
            capability: Of the GPU.
        """
        if precision == "fp16":
            return "float16"
        return "float32 (TF32)" if self.tf32 and capability >= _AMPERE else "float32"
