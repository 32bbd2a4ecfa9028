"""A whole run: frames through the stages, then drawn, written and shown."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from tqdm import tqdm

from lfw_eval.live.drawing import draw
from lfw_eval.live.frame import Frame, Image
from lfw_eval.live.stats import Tally
from lfw_eval.system.interrupts import deferred_interrupt

Show = Callable[[Image, float], None]
"""Takes a drawn picture, uint8 (h, w, 3) BGR, and its seconds since the first."""


def look(
    frames: Generator[Frame, None, None],
    tally: Tally,
    *,
    record: Sequence[Callable[[Frame], None]] = (),
    show: Sequence[Show] = (),
    expected: int | None = None,
) -> None:
    """Take frames that went through all stages until they end, or Ctrl-C ends them.

    The first Ctrl-C finishes the current frame; a second one interrupts at once.

    Args:
        record: Called with every frame.
        show: Called with every drawn frame.
        expected: The number of frames, if known.
    """
    bar = tqdm(total=expected, desc="live", unit="frame", disable=None)
    with bar, deferred_interrupt() as pressed, closing(frames):
        for frame in frames:
            tally.add(frame)
            for write in record:
                write(frame)
            if show:
                picture = draw(frame, tally.recent_fps)
                for display in show:
                    display(picture, frame.seconds)
            bar.update()
            if pressed():
                tally.interrupted = True
                break
