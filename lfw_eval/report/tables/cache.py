"""Tables of calibration caches and of the differences between two."""

from collections.abc import Iterable, Iterator
from statistics import median

from calibration.cache import CalibrationCache, Change
from lfw_eval.system.printing import counted, first_names, printable


def cache_table(cache: CalibrationCache) -> str:
    """Return a cache's header, its counts, and the scale and amax of every tensor."""
    internal = sum(entry.internal for entry in cache.entries)
    zeros = sum(not scale for scale in cache.scales.values())
    width = _width(cache.scales)
    lines = [
        cache_heading(cache),
        f"{counted(len(cache.scales), 'tensor')}: {internal:,} internal to TensorRT, "
        f"{zeros:,} with scale 0",
        "",
        f"{'tensor':<{width}}{'scale':>14}{'amax':>14}",
    ]
    lines += [
        f"{printable(name):<{width}}{scale:>14.6g}{scale * 127:>14.6g}"
        for name, scale in cache.scales.items()
    ]
    return "\n".join(lines)


def cache_heading(cache: CalibrationCache) -> str:
    """Return the TensorRT version and algorithm of a cache's header."""
    version = cache.version or "(unknown version)"
    return f"TensorRT {version}, {cache.algorithm} (header {cache.header})"


def difference_table(
    old: CalibrationCache, new: CalibrationCache, named: list[Change], limit: float
) -> str:
    """Return the differences between two caches.

    Args:
        old: The cache to compare with.
        new: The other.
        named: The named tensors of both, largest change first.
        limit: The largest relative change of a scale that counts as unchanged.
    """
    return "\n".join(_difference(old, new, named, limit))


def _difference(
    old: CalibrationCache, new: CalibrationCache, named: list[Change], limit: float
) -> Iterator[str]:
    yield f"old         {cache_heading(old)}"
    yield f"new         {cache_heading(new)}"
    if old.header != new.header:
        yield "            the headers differ: TensorRT accepts only caches with its own header"
    for label, cache, other in (("only in old", old, new), ("only in new", new, old)):
        if only := [name for name in cache.named if name not in other.named]:
            yield f"{label} {len(only):,}: {first_names(only)}"
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
        yield "summary     no named tensor in common: the caches belong to different networks"
    if internal := len(old.scales) - len(old.named) + len(new.scales) - len(new.named):
        yield f"            tensors internal to TensorRT ({internal:,} in total) are not compared"


def _width(names: Iterable[str]) -> int:
    return max((len(printable(name)) for name in [*names, "tensor"]), default=0)
