"""What was found in every frame, as JSON that is written while it comes."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lfw_eval.live.frame import Frame
from lfw_eval.live.stats import LiveStats
from lfw_eval.system.files import replacing


@contextmanager
def record_file(
    path: Path, about: Mapping[str, object], stats: Callable[[], LiveStats]
) -> Iterator[Callable[[Frame], None]]:
    """Write `{"about": …, "frames": […], "stats": …}`, one frame a line, so that memory holds none.

    Leaving the block with an error leaves no file.

    Args:
        stats: Called when all frames are there.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{{"about": {_text(about)},\n"frames": [')
        separator = "\n"

        def write(frame: Frame) -> None:
            nonlocal separator
            file.write(separator + _text(_row(frame)))
            separator = ",\n"

        yield write
        file.write(f'\n],\n"stats": {_text(asdict(stats()))}}}\n')


def _row(frame: Frame) -> dict[str, object]:
    faces = [
        asdict(face) | {"box": [round(value, 1) for value in face.box]} for face in frame.faces
    ]
    return {
        "frame": frame.index,
        "seconds": round(frame.seconds, 4),
        "faces": faces,
        "detection_ms": round(frame.detection_ms, 3),
        "embedding_ms": round(frame.embedding_ms, 3),
    }


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
