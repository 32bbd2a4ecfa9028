"""Write videos for `lfw-eval live`: photographs that move over a background.

Used by benchmarks/live_speed.py and the tests; its videos are not committed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

SLOTS = 4  # photographs beside one another
FPS = 25.0


@dataclass(frozen=True)
class Placed:
    """A photograph in a frame.

    Attributes:
        name: Of who is on it; None for a stranger.
        region: x0, y0, x1, y1 in pixels of the frame.
    """

    name: str | None
    region: tuple[int, int, int, int]


def write_video(
    path: Path,
    photographs: Sequence[tuple[str | None, Image]],
    *,
    width: int = 1920,
    height: int = 1080,
    stay: int = 12,
    frames: int | None = None,
) -> list[list[Placed]]:
    """Write an MPEG-4 video in which photographs come four at a time, move and grow.

    Args:
        photographs: Name and uint8 (h, w, 3) BGR.
        stay: Frames that a photograph is seen for.
        frames: So many, the photographs again and again; None shows each once.

    Returns:
        What is in each frame.
    """
    rounds = -(-len(photographs) // SLOTS)
    count = frames or rounds * stay
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    background = _background(width, height)
    truth = []
    for index in range(count):
        picture = background.copy()
        placed = list(_frame(picture, photographs, index // stay % rounds, index % stay / stay))
        writer.write(picture)
        truth.append(placed)
    writer.release()
    return truth


def _frame(
    picture: Image, photographs: Sequence[tuple[str | None, Image]], turn: int, part: float
) -> Iterator[Placed]:
    """Paste the photographs of a turn; `part` of it has gone by."""
    height, width = picture.shape[:2]
    lane = width // SLOTS
    for slot, (name, photograph) in enumerate(photographs[turn * SLOTS : (turn + 1) * SLOTS]):
        rows, columns = photograph.shape[:2]
        tall = height * (0.35 + 0.1 * part + 0.05 * slot)
        factor = min(tall / rows, 0.95 * lane / columns)
        size = round(columns * factor), round(rows * factor)
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        shown = cv2.resize(photograph, size, interpolation=how)
        x = slot * lane + (lane - size[0]) // 2
        y = round((height - size[1]) * (part if slot % 2 else 1 - part))
        picture[y : y + size[1], x : x + size[0]] = shown
        yield Placed(name, (x, y, x + size[0], y + size[1]))


def _background(width: int, height: int) -> Image:
    coarse = np.random.default_rng(0).uniform(40, 200, (9, 16, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
