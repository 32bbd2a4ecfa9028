"""Sentences on where INT8 scales come from, as tables and pages say them."""

from lfw_eval.results.calibration import CacheDescription
from lfw_eval.system.printing import printable


def cache_title(cache: CacheDescription) -> str:
    """Return which calibration cache it is."""
    version = f"TensorRT {cache.tensorrt}" if cache.tensorrt else "an unknown TensorRT"
    return f"{printable(cache.name)} of {version}, {cache.algorithm} (sha256 {cache.sha256[:12]})"


def cache_coverage(cache: CacheDescription) -> str:
    """Return how many tensors of the network have a scale in the cache."""
    if cache.scaled == cache.tensors:
        return f"scales for all {cache.tensors:,} tensors to quantise"
    return (
        f"scales for {cache.scaled:,} of the {cache.tensors:,} tensors to quantise; what reads the "
        f"other {cache.tensors - cache.scaled:,} stays float"
    )
