"""Where pictures come from: a camera, a video file or a folder of images."""

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from lfw_eval.datasets.photographs import SUFFIXES, decode
from lfw_eval.detectors.fitting import fit
from lfw_eval.live.frame import Frame
from lfw_eval.system.closing import Closing
from lfw_eval.system.errors import UserError

DEFAULT_FPS = 25.0
_HIGHEST_FPS = 240.0
_SILENT = "-8"
_MISSING = 0.05
"""Containers estimate their number of frames; a larger missing share means a truncated file."""


class Source(Closing, ABC):
    """Pictures of one size, in order. A context manager: leaving it frees the device.

    Attributes:
        title: For people.
        live: Pictures arrive in real time, and are dropped rather than delayed.
        fps: Frame rate; the mean where it varies.
        expected: Their number, if known.
    """

    title: str
    live: bool = False
    fps: float
    expected: int | None = None

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """Yield the pictures.

        Raises:
            UserError: There is none, or an image file is corrupt.
        """


class Capture(Source):
    """What OpenCV captures: a camera or a video file."""

    def __init__(self, capture: cv2.VideoCapture, title: str, fps: float, *, live: bool) -> None:
        self._capture, self.title, self.fps, self.live = capture, title, fps, live
        frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.expected = int(frames) if frames > 0 and not live else None

    def frames(self) -> Iterator[Frame]:
        """Yield the pictures, until there are no more."""
        started = 0.0
        for index in count():
            good, pixels = self._capture.read()
            if not good:
                break
            started = started or time.perf_counter()
            seconds = time.perf_counter() - started if self.live else index / self.fps
            rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
            yield Frame(index, seconds, rgb)
        if not index:
            raise UserError(f"{self.title} delivers no frames", "check that it plays elsewhere")
        if self.expected and index < self.expected * (1 - _MISSING):
            print(f"{self.title} ends after {index} of {self.expected} frames", file=sys.stderr)

    def close(self) -> None:
        """Free the camera or file."""
        self._capture.release()


class ImageFolder(Source):
    """The images of a folder by name, letterboxed to the size of the first."""

    def __init__(self, folder: Path, fps: float) -> None:
        self._files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not self._files:
            raise UserError(
                f"{folder} holds no images",
                "give a folder of .jpg or .png files, which lie in the folder itself",
            )
        self.title, self.fps, self.expected = str(folder), fps, len(self._files)

    def frames(self) -> Iterator[Frame]:
        """Yield the images."""
        size = None
        for index, path in enumerate(self._files):
            try:
                pixels = decode(path.read_bytes(), str(path))
            except OSError as error:
                raise UserError(f"{path} cannot be read: {error.strerror}") from error
            size = size or (pixels.shape[1], pixels.shape[0])
            fitted, _ = fit(pixels, *size, "letterbox")
            yield Frame(index, index / self.fps, fitted)


def open_source(path: Path | None, camera: str | None, fps: float | None) -> Source:
    """Open a video file or folder, or a camera.

    Args:
        camera: Its number, or an address that OpenCV opens, such as rtsp://host/stream.
        fps: In place of the source's own; needed where that is unknown, else 25 is taken.

    Raises:
        UserError: Neither or both are given, or it cannot be opened.
    """
    if camera is not None and path is None:
        return _captured(int(camera) if camera.isdecimal() else camera, f"`camera` {camera}", fps)
    if path is None or camera is not None:
        raise UserError("give either a video file, a folder of images or `camera` 0")
    if path.is_dir():
        return ImageFolder(path, fps or DEFAULT_FPS)
    if not path.is_file():
        raise UserError(f"{path} does not exist", "give a video file or a folder of images")
    return _captured(str(path), str(path), fps, live=False)


def _captured(address: int | str, title: str, fps: float | None, *, live: bool = True) -> Capture:
    # The error below replaces the messages of OpenCV and FFmpeg.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _SILENT)
    if hasattr(cv2.utils, "logging"):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(address)
    if not capture.isOpened():
        hint = "check that it is connected and free" if live else "give a video, such as .mp4"
        raise UserError(f"{title} cannot be opened", hint)
    own = capture.get(cv2.CAP_PROP_FPS)
    rate = own if 0 < own <= _HIGHEST_FPS else DEFAULT_FPS
    return Capture(capture, title, fps or rate, live=live)
