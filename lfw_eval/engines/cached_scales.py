"""INT8 scales from a calibration cache of the user's, matched to a network by tensor names."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import onnx

from calibration.cache import CalibrationCache
from calibration.quantize import coverage
from calibration.scales import ScaleTable
from lfw_eval.engines.contract import BuildRequest, EngineOptions, Precision
from lfw_eval.results.calibration import CacheDescription
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256
from lfw_eval.system.printing import first_names

_Options = TypeVar("_Options", bound="CacheOptions")


@dataclass(frozen=True)
class CacheOptions(EngineOptions):
    """The options of an engine that takes a calibration cache.

    Attributes:
        calibration_cache: The user's, instead of calibrating.
    """

    calibration_cache: Path | None = None

    @property
    def has_scales(self) -> bool:
        """Whether a cache of the user's has the scales."""
        return self.calibration_cache is not None

    def without_int8(self: _Options) -> _Options:
        """Return the same without what concerns INT8."""
        return replace(self, calibration_cache=None)

    def check(self, precision: Precision) -> None:
        """Refuse a cache for another precision.

        Raises:
            UserError: There is one.
        """
        if self.calibration_cache and precision != "int8":
            raise UserError(f"`calibration_cache` is for `precision` int8, not {precision}")

    def check_network(self, model: Path) -> None:
        """Refuse a cache that is damaged or of another network.

        Raises:
            UserError: It is.
        """
        if self.calibration_cache:
            read_cached_scales(self.calibration_cache, model)


@dataclass(frozen=True)
class CachedScales:
    """A cache's scales for a network.

    Attributes:
        float_nodes: Names of the nodes that read a tensor without a scale, and stay float.
    """

    table: ScaleTable
    float_nodes: tuple[str, ...]
    description: CacheDescription


def cached_scales(request: BuildRequest) -> CachedScales | None:
    """Return the scales of the cache that an engine is to be built with; None without one.

    Raises:
        UserError: It cannot be read, is damaged or of another network.
    """
    options = request.options
    path = options.calibration_cache if isinstance(options, CacheOptions) else None
    return read_cached_scales(path, request.model) if path else None


def read_cached_scales(path: Path, model: Path) -> CachedScales:
    """Read a cache's scales for a network.

    TensorRT names tensors as the network that it parsed did. Those that folding took out of it are
    not needed here; the layers around what a cache lacks run in floating point, as in TensorRT.

    Args:
        path: The cache, of any version of TensorRT.
        model: The FP32 ONNX file, batch normalisation folded.

    Raises:
        UserError: The cache cannot be read, is damaged, or has no scale for more than half of the
            tensors to quantise.
    """
    cache = CalibrationCache.load(path)
    table = cache.to_table()
    covered = coverage(onnx.load(model, load_external_data=False), table)
    tensors = len(covered.scaled) + len(covered.unscaled)
    if len(covered.scaled) < max(1, len(covered.unscaled)):
        raise UserError(
            f"{path} is of another network: it has scales for {len(covered.scaled):,} of the "
            f"{tensors:,} tensors to quantise, and none for {first_names(covered.unscaled)}",
            "give the calibration cache of this network",
        )
    description = CacheDescription(
        name=path.name,
        sha256=file_sha256(path),
        tensorrt=cache.version or "",
        algorithm=cache.algorithm,
        tensors=tensors,
        scaled=len(covered.scaled),
    )
    return CachedScales(table, covered.readers, description)
