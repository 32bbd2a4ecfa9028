"""What pixels become before a network takes them, as options, keys and result files write it."""

import math
from dataclasses import dataclass
from typing import Literal, NoReturn

from lfw_eval.system.errors import UserError

ChannelOrder = Literal["rgb", "bgr"]

_BGR = " BGR"
_NAMED = {
    "per-image": None,
    "fixed": (127.5, 128.0),
    "unit": (0.0, 255.0),
    "arcface": (127.5, 127.5),
    "none": (0.0, 1.0),
}
"""Mean and deviation that each name stands for; "per-image" takes those of each crop."""

NAMES = tuple(_NAMED)
"""Normalisations that have a name."""

WAYS = f"{', '.join(NAMES)} or MEAN,STD"
"""What can be asked for, in words."""


@dataclass(frozen=True)
class Preprocessing:
    """The order of the channels, and the normalisation: `(x - mean) / std`, x being 0 to 255.

    As text it is "fixed", "127.5,128" or "123.675,116.28,103.53,58.395,57.12,57.375", then " BGR"
    where the network takes blue first: one text, so that no key or file has the one without the
    other.

    Attributes:
        normalisation: A name, or mean and deviation: of all channels, or three of each, in the
            order in which the network takes the channels.
        channel_order: In which the network takes them; crops are RGB.
    """

    normalisation: str
    channel_order: ChannelOrder = "rgb"

    @classmethod
    def parse(cls, text: str, parameter: str = "normalisation") -> "Preprocessing":
        """Read the text.

        Numbers that a name stands for become that name.

        Args:
            parameter: What the user gave it as.

        Raises:
            UserError: It is none; a number is not finite, or a deviation not above 0; or they look
                like those of pixels from 0 to 1.
        """
        way = text.removesuffix(_BGR)
        order: ChannelOrder = "rgb" if way == text else "bgr"
        return cls(way if way in _NAMED else _canonical(way, parameter), order)

    def __str__(self) -> str:
        return self.normalisation + (_BGR if self.channel_order == "bgr" else "")

    @property
    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Each one value or three; None where each crop has its own."""
        if self.normalisation in _NAMED:
            named = _NAMED[self.normalisation]
            return named and ((named[0],), (named[1],))
        numbers = tuple(map(float, self.normalisation.split(",")))
        half = len(numbers) // 2
        return numbers[:half], numbers[half:]


def _canonical(text: str, parameter: str) -> str:
    """Return a name, or MEAN,STD in as few numbers as say the same."""
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        _refuse(text, parameter, "is unknown", f"choose {WAYS}")
    if len(numbers) not in (2, 6):
        _refuse(
            text,
            parameter,
            f"has {len(numbers)} number{'s'[: len(numbers) > 1]}",
            "give mean and deviation, MEAN,STD, or three means and then three deviations",
        )
    half = len(numbers) // 2
    mean, std = numbers[:half], numbers[half:]
    if not all(map(math.isfinite, numbers)) or min(std) <= 0:
        _refuse(
            text,
            parameter,
            "must be finite numbers, deviations above 0",
            "give MEAN,STD of pixels from 0 to 255",
        )
    if max(map(abs, mean)) <= 1 and max(std) < 1:
        scaled = ",".join(f"{255 * number:.6g}" for number in numbers)
        _refuse(text, parameter, "is of pixels from 0 to 1", f"give those from 0 to 255: {scaled}")
    if len(set(mean)) == len(set(std)) == 1:
        pair = mean[0], std[0]
        numbers = list(pair)
        if name := next((name for name, values in _NAMED.items() if values == pair), None):
            return name
    return ",".join(f"{number:.9g}" for number in numbers)


def _refuse(text: str, parameter: str, problem: str, hint: str) -> NoReturn:
    raise UserError(f"`{parameter}` {text[:80]!r} {problem}", hint)
