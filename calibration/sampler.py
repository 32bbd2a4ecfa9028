"""Choose the images to calibrate on: outside the evaluated pairs, spread over identities."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import UserError

LISTS = Path(__file__).parent / "lists"
CROPS = 512
# Fewer crops than this outside the pairs leave thresholds to chance.
_MIN_OUTSIDE = 64
_SEED = "lfw-eval calibration"


@dataclass(frozen=True)
class CalibrationList:
    """The images to calibrate on.

    Attributes:
        names: In the order in which they are fed.
        origin: Where the list comes from, in words.
        evaluated: The number of them that are also in the evaluated pairs.
    """

    names: tuple[str, ...]
    origin: str
    evaluated: int

    def digest(self) -> str:
        """Return the sha256 of the list's text."""
        return hashlib.sha256(list_text(self.names).encode()).hexdigest()


def choose_images(
    available: Collection[str], evaluated: Collection[str], path: Path | None = None
) -> CalibrationList:
    """Choose the images to calibrate on.

    In this order: the user's list; the committed list `lists/lfw.txt`, if all of its images are
    available and outside the pairs; 512 images drawn from outside the pairs; if there are fewer
    than 64 of those, 512 of the evaluated images.

    Args:
        available: Names of all images of the data set, as `Name_0001`.
        evaluated: Names of the images in the pairs.
        path: The user's list, a file with one name per line.

    Raises:
        UserError: The user's list is empty or names an image that is not available.
    """
    present, used = set(available), set(evaluated)
    if path is not None:
        return _labelled(_read_available(path, present), str(path), used)
    committed = read_list(LISTS / "lfw.txt")
    if present.issuperset(committed) and used.isdisjoint(committed):
        return _labelled(committed, "calibration/lists/lfw.txt", used)
    outside = present - used
    if len(outside) >= _MIN_OUTSIDE:
        drawn = draw_images(outside, CROPS)
        origin = "drawn outside of the evaluated pairs" if used else "drawn from all images"
        return _labelled(drawn, origin, used)
    return _labelled(draw_images(used, CROPS), "drawn from the evaluated images", used)


def draw_images(names: Collection[str], count: int) -> tuple[str, ...]:
    """Draw up to `count` images: one of every identity before a second of any.

    The draw follows the order of a hash, so it is the same on every machine and in every release.
    """
    people: dict[str, list[str]] = {}
    for name in sorted(names, key=_rank):
        people.setdefault(name.rpartition("_")[0], []).append(name)
    turn = {name: index for images in people.values() for index, name in enumerate(images)}
    return tuple(sorted(names, key=lambda name: (turn[name], _rank(name)))[:count])


def read_list(path: Path) -> tuple[str, ...]:
    """Read a list of image names, one per line; empty lines are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(
            f"the calibration list {path} cannot be read: {error.strerror}",
            "check the path and its permissions",
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"the calibration list {path} is not UTF-8 text", "give one image name per line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def list_text(names: Collection[str]) -> str:
    """Return the text of a list's file."""
    return "".join(f"{name}\n" for name in names)


def _read_available(path: Path, present: set[str]) -> tuple[str, ...]:
    names = read_list(path)
    if not names:
        raise UserError(f"the calibration list {path} is empty", "give one image name per line")
    if missing := [name for name in names if name not in present]:
        raise UserError(
            f"the calibration list {path} names images that are not in the data set: "
            f"{len(missing)}, such as {missing[0]}",
            "remove them, or give the data set that has them",
        )
    return names


def _labelled(names: tuple[str, ...], origin: str, used: set[str]) -> CalibrationList:
    return CalibrationList(names, origin, evaluated=len(used.intersection(names)))


def _rank(name: str) -> str:
    return hashlib.sha256(f"{_SEED} {name}".encode()).hexdigest()
