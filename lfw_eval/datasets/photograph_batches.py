"""Photographs in batches of bounded size, whatever theirs is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lfw_eval.datasets.baseline_jpeg import Size
from lfw_eval.datasets.baseline_jpegs import baseline_sizes
from lfw_eval.datasets.image_header import header_of
from lfw_eval.datasets.photographs import EncodedPhotograph
from lfw_eval.system.errors import UserError

_BYTES = 1 << 25
"""Of photographs that are read together: a batch of larger ones is read in parts."""


@dataclass(frozen=True)
class Batch:
    """Photographs that are decoded together.

    Attributes:
        photographs: At least one.
        sizes: Of each, what `baseline_size` returns, which takes a while.
    """

    photographs: tuple[EncodedPhotograph, ...]
    sizes: tuple[Size | None, ...]


def in_batches(
    photographs: Iterable[EncodedPhotograph], largest: int, pixels: int
) -> Iterator[Batch]:
    """Yield photographs, in order, in batches.

    Args:
        photographs: Not decoded yet.
        largest: The most photographs of a batch.
        pixels: The most that the photographs of a batch have together; a photograph with more is
            alone.
    """
    batch: list[EncodedPhotograph] = []
    sizes: list[Size | None] = []
    remaining = pixels
    for photograph, size in _with_sizes(photographs, largest):
        height, width = size or _other_size(photograph)
        if batch and (len(batch) == largest or height * width > remaining):
            yield Batch(tuple(batch), tuple(sizes))
            batch, sizes, remaining = [], [], pixels
        batch.append(photograph)
        sizes.append(size)
        remaining -= height * width
    if batch:
        yield Batch(tuple(batch), tuple(sizes))


def _with_sizes(
    photographs: Iterable[EncodedPhotograph], largest: int
) -> Iterator[tuple[EncodedPhotograph, Size | None]]:
    """Yield photographs with what `baseline_size` returns, which costs less for many at once."""
    part: list[EncodedPhotograph] = []
    remaining = _BYTES
    for photograph in photographs:
        part.append(photograph)
        remaining -= len(photograph.content)
        if len(part) == largest or remaining <= 0:
            yield from _sized(part)
            part, remaining = [], _BYTES
    yield from _sized(part)


def _sized(part: list[EncodedPhotograph]) -> Iterator[tuple[EncodedPhotograph, Size | None]]:
    return zip(part, baseline_sizes([photograph.content for photograph in part]), strict=True)


def _other_size(photograph: EncodedPhotograph) -> Size:
    """Return the size of what is no baseline JPEG; nothing if that cannot be decoded anyway."""
    try:
        header = header_of(photograph.content, photograph.where)
    except UserError:
        return 0, 0
    return header.height, header.width
