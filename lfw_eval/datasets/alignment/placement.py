"""What a data set's photographs are aligned on: this machine's CPU, or the GPUs of the engine."""

import logging
from functools import cache
from typing import Literal, get_args

from lfw_eval.datasets.alignment.aligned import AlreadyAligned
from lfw_eval.datasets.alignment.boxes import BoxAlignment
from lfw_eval.datasets.alignment.contract import Alignment
from lfw_eval.datasets.alignment.five_point import FivePointAlignment
from lfw_eval.datasets.alignment.gpu import AnyAlignment, GpuAlignment, GpuRuntimes
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Workers

AlignOn = Literal["auto", "cpu", "gpu"]
"""`auto` is the GPUs of an engine that runs on some, where they can align, or else the CPU."""

_LOG = logging.getLogger(__name__)


def place(
    alignment: Alignment, on: AlignOn, gpus: tuple[int, ...], workers: Workers
) -> AnyAlignment:
    """Return an alignment as it runs on what a user chose.

    Args:
        gpus: The numbers of those that the engine runs on; empty where it runs on none.
        workers: Who aligns.

    Raises:
        UserError: `on` is no such choice, or "gpu", and no GPU can align so.
    """
    require_align_on(on)
    if on == "cpu":
        return alignment
    if not isinstance(alignment, MtcnnAlignment | FivePointAlignment):
        if on == "gpu":
            raise UserError(
                "`align_on` gpu is for faces that MTCNN detects, not for "
                f"{_without_mtcnn(alignment)}",
                "leave it out",
            )
        return alignment
    if on == "auto" and not gpus:
        return alignment
    gpus = gpus or (0,)
    runtimes = _runtimes(workers, gpus)
    if isinstance(runtimes, GpuRuntimes):
        return GpuAlignment(alignment, gpus, runtimes)
    if on == "gpu":
        hints = (runtimes.hint, "`align_on` cpu does without a GPU")
        raise UserError(
            f"faces cannot be detected and aligned on a GPU: {runtimes.problem}",
            "; ".join(filter(None, hints)),
        )
    _say(f"faces are detected and aligned on the CPU, not on the GPU: {runtimes}")
    return alignment


def require_align_on(on: str) -> None:
    """Refuse what is not an `AlignOn`.

    Raises:
        UserError: It is none.
    """
    if on not in get_args(AlignOn):
        raise UserError(f"`align_on` {on!r} is unknown", "take auto, cpu or gpu")


def _without_mtcnn(alignment: Alignment) -> str:
    """Return in words what an alignment starts from instead of MTCNN's faces."""
    if isinstance(alignment, AlreadyAligned):
        return "images that are aligned crops already"
    if isinstance(alignment, BoxAlignment):
        return "boxes from a file"
    return "landmarks that come with the images"


@cache
def _runtimes(workers: Workers, gpus: tuple[int, ...]) -> GpuRuntimes | UserError:
    """Return what GPUs align with, or why they cannot."""
    try:
        return workers.call(GpuRuntimes.of, gpus, gpus=gpus)
    except UserError as error:
        return error


@cache
def _say(warning: str) -> None:
    """Warn once, however many times photographs are aligned."""
    _LOG.warning(warning)
