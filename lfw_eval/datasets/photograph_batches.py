"""Photographs in batches of bounded size, whatever theirs is."""

from collections.abc import Iterable, Iterator

from lfw_eval.datasets.baseline_jpeg import baseline_size
from lfw_eval.datasets.image_header import header_of
from lfw_eval.datasets.photographs import EncodedPhotograph
from lfw_eval.system.errors import UserError

Batch = tuple[EncodedPhotograph, ...]


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
    remaining = pixels
    for photograph in photographs:
        own = _pixels(photograph)
        if batch and (len(batch) == largest or own > remaining):
            yield tuple(batch)
            batch, remaining = [], pixels
        batch.append(photograph)
        remaining -= own
    if batch:
        yield tuple(batch)


def _pixels(photograph: EncodedPhotograph) -> int:
    """Return how many pixels a photograph has; none if that cannot be told, nor it be decoded."""
    size = baseline_size(photograph.content)
    if size is None:
        try:
            header = header_of(photograph.content, photograph.where)
        except UserError:
            return 0
        size = header.height, header.width
    return size[0] * size[1]
