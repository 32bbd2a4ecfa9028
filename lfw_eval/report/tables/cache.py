"""Calibration caches as tables, and what sets two of them apart."""

from collections.abc import Iterable, Iterator
from statistics import median

from calibration.cache import CalibrationCache, Change
from lfw_eval.system.printing import first_names, printable


def cache_table(cache: CalibrationCache) -> str:
    """Return a cache's header, its counts, and the scale and amax of every tensor."""
    internal = sum(entry.internal for entry in cache.entries)
    zeros = sum(not scale for scale in cache.scales.values())
    width = _width(cache.scales)
    lines = [
        cache_heading(cache),
        f"{len(cache.scales):,} tensors: {internal:,} of TensorRT's own, {zeros:,} with scale zero",
        "",
        f"{'tensor':<{width}}{'scale':>14}{'amax':>14}",
    ]
    lines += [
        f"{printable(name):<{width}}{scale:>14.6g}{scale * 127:>14.6g}"
        for name, scale in cache.scales.items()
    ]
    return "\n".join(lines)


def cache_heading(cache: CalibrationCache) -> str:
    """Return what a cache's header says."""
    version = cache.version or "of an unknown version"
    return f"TensorRT {version}, {cache.algorithm} (header {cache.header})"


def difference_table(
    old: CalibrationCache, new: CalibrationCache, named: list[Change], limit: float
) -> str:
    """Return what sets two caches apart.

    Args:
        old: The cache to compare with.
        new: The other.
        named: The named tensors of both, those that moved most first.
        limit: The relative change of a scale up to which it has not moved.
    """
    return "\n".join(_difference(old, new, named, limit))


def _difference(
    old: CalibrationCache, new: CalibrationCache, named: list[Change], limit: float
) -> Iterator[str]:
    yield f"old         {cache_heading(old)}"
    yield f"new         {cache_heading(new)}"
    if old.header != new.header:
        yield "            the headers differ: a TensorRT takes only caches with its own"
    for label, one, other in (("only in old", old, new), ("only in new", new, old)):
        if only := [name for name in one.named if name not in other.named]:
            yield f"{label} {len(only):,} by name: {first_names(only)}"
    moved = [change for change in named if change.relative > limit]
    if moved:
        width = _width(change.name for change in moved)
        yield f"\n{'tensor':<{width}}{'old scale':>14}{'new scale':>14}{'new / old':>12}"
        for change in moved:
            yield (
                f"{printable(change.name):<{width}}{change.old:>14.6g}{change.new:>14.6g}"
                f"{change.ratio:>12.4f}"
            )
        yield ""
    if named:
        ratio = median(change.ratio for change in named)
        yield (
            f"summary     {len(named) - len(moved):,} of {len(named):,} named tensors within "
            f"{limit:.3g} of the old scale, median ratio {ratio:.5f}"
        )
    else:
        yield "summary     the caches have no named tensor in common: they are of two networks"
    if internal := len(old.scales) - len(old.named) + len(new.scales) - len(new.named):
        yield f"            TensorRT's own tensors ({internal:,} in both together) are not compared"


def _width(names: Iterable[str]) -> int:
    return max((len(printable(name)) for name in [*names, "tensor"]), default=0)
