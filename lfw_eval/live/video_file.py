"""The annotated video, which gets its name once it is complete."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from lfw_eval.live.frame import Image
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import replacing

Write = Callable[[Image, float], None]
"""Adds a picture, uint8 (h, w, 3) BGR, given its seconds since the first."""


@contextmanager
def video_file(path: Path, fps: float, *, keep_time: bool) -> Iterator[Write]:
    """Write an MPEG-4 video; leaving the block with an error leaves no file.

    The codec takes even sizes: an odd last row or column is cut off.

    Args:
        keep_time: Repeat a picture until the next one's time has come, as the pictures of a
            camera need, which drops some.

    Raises:
        UserError: It cannot be written.
    """
    with replacing(path) as temporary:
        film = _Film(temporary, fps, keep_time)
        try:
            yield film.write
        finally:
            film.close()
        if film.written != _frames_in(temporary):
            raise UserError(
                f"{path} is incomplete", "free space on its disk, or name another place"
            )


class _Film:
    def __init__(self, path: Path, fps: float, keep_time: bool) -> None:
        self._path, self._fps, self._keep_time = path, fps, keep_time
        self._writer: cv2.VideoWriter | None = None
        self._last: Image | None = None
        self.written = 0

    def write(self, picture: Image, seconds: float) -> None:
        if self._writer is None:
            size = picture.shape[1], picture.shape[0]
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), code, self._fps, size)
        while self._keep_time and self._last is not None and self.written < seconds * self._fps:
            self._put(self._last)
        if self._last is None or not self._keep_time:
            self._put(picture)
        self._last = picture

    def close(self) -> None:
        if self._keep_time and self._last is not None:
            self._put(self._last)
        if self._writer is not None:
            self._writer.release()

    def _put(self, picture: Image) -> None:
        assert self._writer is not None
        self._writer.write(picture)
        self.written += 1


def _frames_in(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return frames
