"""Photographs in batches of bounded size, whatever theirs is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lfw_eval.datasets.baseline_jpeg import Size, baseline_size
from lfw_eval.datasets.image_header import header_of
from lfw_eval.datasets.photographs import EncodedPhotograph
from lfw_eval.system.errors import UserError


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
    for photograph in photographs:
        size = baseline_size(photograph.content)
        height, width = size or _other_size(photograph)
        if batch and (len(batch) == largest or height * width > remaining):
            yield Batch(tuple(batch), tuple(sizes))
            batch, sizes, remaining = [], [], pixels
        batch.append(photograph)
        sizes.append(size)
        remaining -= height * width
    if batch:
        yield Batch(tuple(batch), tuple(sizes))


def _other_size(photograph: EncodedPhotograph) -> Size:
    """Return the size of what is no baseline JPEG; nothing if that cannot be decoded anyway."""
    try:
        header = header_of(photograph.content, photograph.where)
    except UserError:
        return 0, 0
    return header.height, header.width
