"""Choose the images to calibrate on: of people who are not evaluated, spread over them."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import UserError

CROPS = 512
MIN_CROPS = 64
"""Fewer crops than this leave thresholds to chance."""

_MIN_PEOPLE = 4
_SEED = "lfw-eval calibration"
_NUMBERED = re.compile(r"(.+)_[0-9]+")


@dataclass(frozen=True)
class CalibrationList:
    """The images to calibrate on.

    Attributes:
        names: In the order in which they are fed.
        origin: Where the list comes from, in words.
        evaluated: The number of them that are also evaluated.
        evaluated_people: The number of people on them who are also on evaluated images; None where
            names do not tell, as those of the list or of the evaluated images.
    """

    names: tuple[str, ...]
    origin: str
    evaluated: int = 0
    evaluated_people: int | None = None

    @property
    def people(self) -> int | None:
        """The number of people on the images; None where names do not tell."""
        people = _people(self.names)
        return None if people is None else len(people)

    def digest(self) -> str:
        """Return the sha256 of the list's text."""
        return hashlib.sha256(list_text(self.names).encode()).hexdigest()

    def among(self, evaluated: Collection[str]) -> "CalibrationList":
        """Return the same, its overlap being that with these evaluated images."""
        own, others = _people(self.names), _people(evaluated)
        return replace(
            self,
            evaluated=len(set(evaluated).intersection(self.names)),
            evaluated_people=None if own is None or others is None else len(own & others),
        )


def person_of(name: str) -> str | None:
    """Return who an image named as `Name_0001` shows; None of an image that is named otherwise."""
    match = _NUMBERED.fullmatch(name)
    return match[1] if match else None


def choose_images(
    available: Collection[str], evaluated: Collection[str], path: Path | None = None
) -> CalibrationList:
    """Choose the images to calibrate on.

    They are the user's list, or up to 512 images drawn from the data set: first from those of
    people who are not evaluated; if these are fewer than 64, then from the other images that are
    not evaluated; if both together are fewer than 64, then from the evaluated ones. Of a data set
    that nothing is evaluated of, they are drawn from all images.

    Whom an image shows is in its name, `Name_0001`. Where an evaluated image is named otherwise,
    any image may show an evaluated person, and where another image is, that one may.

    Args:
        available: Names of all images of the data set.
        evaluated: Names of the evaluated images, such as those in the pairs.
        path: The user's list, a file with one name per line.

    Raises:
        UserError: The user's list is empty, repeats an image or names one that is not available.
    """
    present, used = set(available), set(evaluated)
    if path is not None:
        names, origin = _read_available(path, present), str(path)
    elif not used:
        names, origin = draw_images(present, CROPS), "drawn from all images"
    else:
        names, origin = _draw_apart(present, used)
    return CalibrationList(names, origin).among(used)


def _draw_apart(present: set[str], used: set[str]) -> tuple[tuple[str, ...], str]:
    """Return images as far apart from the evaluated ones as possible, and where they come from."""
    outside, people = present - used, _people(used)
    # Of an image that is named otherwise, nobody knows whom it shows.
    strangers = {
        name
        for name in outside
        if people is not None and (person := person_of(name)) and person not in people
    }
    names: tuple[str, ...] = ()
    origins = []
    for images, origin in (
        (strangers, "people who are not evaluated"),
        (outside - strangers, "images that are not evaluated"),
        (used, "the evaluated images"),
    ):
        if images:
            names += draw_images(images, CROPS - len(names))
            origins.append(origin)
        if len(names) >= MIN_CROPS:
            break
    return names, f"drawn from {', then '.join(origins)}"


def draw_images(names: Collection[str], count: int) -> tuple[str, ...]:
    """Draw up to `count` images: one of every identity before a second of any.

    The draw follows the order of a hash, so it is the same on every machine and in every release.
    """
    people: dict[str, list[str]] = {}
    for name in sorted(names, key=_rank):
        people.setdefault(name.rpartition("_")[0], []).append(name)
    turn = {name: index for images in people.values() for index, name in enumerate(images)}
    return tuple(sorted(names, key=lambda name: (turn[name], _rank(name)))[:count])


def held_out(names: Sequence[str], every: int) -> NDArray[np.bool_]:
    """Return which images to measure on what is fitted on the others, bool (n,).

    They are all those of one person in so many, so that nobody is on both kinds. Where that would
    leave fewer than four people to measure on, or names do not tell, they are one image in so many.

    Args:
        every: Of so many people, in the order of their first images, the last one is held out.
    """
    people = {name.rpartition("_")[0] for name in names}
    apart = len(people) >= _MIN_PEOPLE * every
    keys = [name.rpartition("_")[0] if apart else name for name in names]
    turn = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([turn[key] % every == every - 1 for key in keys], bool)


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
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(
            f"the calibration list {path} repeats {len(repeated)} "
            f"{'image' if len(repeated) == 1 else 'images'}, first {repeated[0]}",
            "name every image once",
        )
    if missing := [name for name in names if name not in present]:
        raise UserError(
            f"the calibration list {path} names images that are not in the data set: "
            f"{len(missing)}, such as {missing[0]}",
            "remove them, or give the data set that has them",
        )
    return names


def _people(names: Iterable[str]) -> set[str] | None:
    """Return who the images show; None where a name does not tell."""
    people = set(map(person_of, names))
    return None if None in people else {person for person in people if person}


def _rank(name: str) -> str:
    return hashlib.sha256(f"{_SEED} {name}".encode()).hexdigest()
