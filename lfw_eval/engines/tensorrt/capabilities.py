"""What each version of TensorRT can do: the one place where versions are told apart."""

import re
from dataclasses import dataclass
from typing import Literal

from lfw_eval.system.errors import UserError

Quantization = Literal["cache", "live", "qdq"]
"""Where INT8 scales come from: a calibration cache, TensorRT's calibrator, or Q/DQ nodes."""

_OLDEST = (8, 5)
_OPTIMIZATION_LEVEL = (8, 6)
_EXPLICIT_BATCH_IMPLIED = (10,)
_PROGRESS_MONITOR = (10,)
_STRONGLY_TYPED = (11,)


@dataclass(frozen=True)
class Capabilities:
    """What a version can do.

    Attributes:
        title: Product and version, such as "TensorRT 8.6.1".
        version: Its numbers.
        strongly_typed: Types are taken from the network: INT8 has to come as Q/DQ nodes and FP16
            as float16 tensors, since there are neither calibrators nor precision flags.
    """

    title: str
    version: tuple[int, ...]
    strongly_typed: bool

    @classmethod
    def of(cls, version: str, *, rtx: bool = False) -> "Capabilities":
        """Return the capabilities of a version such as "8.6.1" or "10.16.1.11".

        Args:
            rtx: It is TensorRT-RTX, which counts its versions by itself.

        Raises:
            UserError: It is older than 8.5, which has no `execute_async_v3`.
        """
        numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:4])
        title = f"{'TensorRT-RTX' if rtx else 'TensorRT'} {version}"
        if not rtx and numbers < _OLDEST:
            raise UserError(f"{title} is too old", "install TensorRT 8.5 or newer")
        return cls(title, numbers, strongly_typed=rtx or numbers >= _STRONGLY_TYPED)

    @property
    def release(self) -> str:
        """Major, minor and patch, as calibration caches count them."""
        return ".".join(str(number) for number in (*self.version, 0, 0)[:3])

    @property
    def calibrators(self) -> bool:
        """Whether it has IInt8EntropyCalibrator2 and reads calibration caches."""
        return not self.strongly_typed

    @property
    def precision_flags(self) -> bool:
        """Whether it has BuilderFlag.FP16, INT8 and OBEY_PRECISION_CONSTRAINTS."""
        return not self.strongly_typed

    @property
    def float_weights(self) -> bool:
        """Whether quantised weights go in as float32: 8.6 cannot merge layers of int8 constants."""
        return not self.strongly_typed

    @property
    def explicit_batch_flag(self) -> bool:
        """Whether a network is created with EXPLICIT_BATCH; later it always is."""
        return self.version < _EXPLICIT_BATCH_IMPLIED and not self.strongly_typed

    @property
    def optimization_level(self) -> bool:
        """Whether it has `builder_optimization_level`."""
        return self.version >= _OPTIMIZATION_LEVEL or self.strongly_typed

    @property
    def layer_normalisation(self) -> bool:
        """Whether its parser reads LayerNormalization."""
        return self.optimization_level

    @property
    def shared_profile(self) -> bool:
        """Whether several execution contexts may run in one optimization profile."""
        return self.optimization_level

    @property
    def shared_profile_is_preview(self) -> bool:
        """Whether that has to be enabled, by PreviewFeature.PROFILE_SHARING_0806."""
        return self.shared_profile and self.explicit_batch_flag

    @property
    def progress_monitor(self) -> bool:
        """Whether a build reports its progress."""
        return self.version >= _PROGRESS_MONITOR or self.strongly_typed

    def quantization(self, precision: str, asked: Quantization | None) -> Quantization | None:
        """Return the way to INT8, or None for another precision.

        Raises:
            UserError: This version lacks the requested way.
        """
        if precision != "int8":
            if asked:
                raise UserError(f"`quantization` {asked} is for `precision` int8, not {precision}")
            return None
        if asked in ("cache", "live") and not self.calibrators:
            raise UserError(
                f"{self.title} has no calibrators and reads no calibration cache, so "
                f"`quantization` {asked} is not possible",
                "leave it out: the same scales go in as Q/DQ nodes",
            )
        return asked or ("cache" if self.calibrators else "qdq")

    def int8_path(self) -> str:
        """Return in words how this version gets INT8."""
        if self.strongly_typed:
            return "Q/DQ networks only (strongly typed; no calibrators)"
        deprecated = ", deprecated since 10.1" if self.version >= (10, 1) else ""
        return f"calibration caches and calibrators (implicit{deprecated}), or Q/DQ networks"
