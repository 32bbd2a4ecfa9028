"""The counts and timings of a run."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from lfw_eval.live.frame import Frame

_RECENT = 30
"""Frames that the current rate is averaged over."""


@dataclass(frozen=True)
class Times:
    """Milliseconds; all 0 without measurements."""

    median: float
    p90: float
    count: int


@dataclass(frozen=True)
class LiveStats:
    """A whole run.

    Attributes:
        frames: Those that went through all stages.
        dropped: Those of a camera that came too fast.
        seconds: From the first frame's request to the last one's end.
        fps: Frames per second.
        detection_ms: Of a frame.
        embedding_ms: Of a frame with faces: crops, embeddings and names of all of them.
        embedding_ms_per_face: The same, divided by the faces of the frame.
        faces: In all frames together.
        unknown: Those of them without a name.
        people: The number of frames that show each named person.
        interrupted: Whether Ctrl-C ended it.
    """

    frames: int
    dropped: int
    seconds: float
    fps: float
    detection_ms: Times
    embedding_ms: Times
    embedding_ms_per_face: Times
    faces: int
    unknown: int
    people: dict[str, int]
    interrupted: bool


class Tally:
    """Counts frames as they leave the last stage; other threads may ask for its stats."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.perf_counter()
        self._ended = self._started
        self._recent: deque[float] = deque([self._started], maxlen=_RECENT)
        self._detection: list[float] = []
        self._embedding: list[float] = []
        self._per_face: list[float] = []
        self._people: Counter[str] = Counter()
        self._last_index = -1
        self._faces = self._unknown = 0
        self.interrupted = False

    def add(self, frame: Frame) -> None:
        """Count a frame."""
        with self._lock:
            self._ended = time.perf_counter()
            self._recent.append(self._ended)
            self._last_index = frame.index
            self._detection.append(frame.detection_ms)
            if frame.faces:
                self._embedding.append(frame.embedding_ms)
                self._per_face.append(frame.embedding_ms / len(frame.faces))
            self._faces += len(frame.faces)
            self._unknown += sum(face.name is None for face in frame.faces)
            self._people.update({face.name for face in frame.faces if face.name is not None})

    @property
    def recent_fps(self) -> float:
        """Frames per second over the most recent frames."""
        return (len(self._recent) - 1) / max(self._recent[-1] - self._recent[0], 1e-9)

    def stats(self) -> LiveStats:
        """Return the stats so far."""
        with self._lock:
            frames, seconds = len(self._detection), self._ended - self._started
            return LiveStats(
                frames=frames,
                dropped=self._last_index + 1 - frames,
                seconds=seconds,
                fps=frames / seconds if frames else 0.0,
                detection_ms=_times(self._detection),
                embedding_ms=_times(self._embedding),
                embedding_ms_per_face=_times(self._per_face),
                faces=self._faces,
                unknown=self._unknown,
                people=dict(self._people.most_common()),
                interrupted=self.interrupted,
            )


def _times(values: list[float]) -> Times:
    median, p90 = np.percentile(values, [50, 90]) if values else (0.0, 0.0)
    return Times(float(median), float(p90), len(values))
