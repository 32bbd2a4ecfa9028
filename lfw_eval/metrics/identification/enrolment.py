"""Split images into gallery and probes: by the data set's names, or by two lists."""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lfw_eval.metrics.verification.arrays import BoolArray
from lfw_eval.system.errors import UserError
from lfw_eval.system.printing import counted

_NUMBERED = re.compile(r"(.+)_[0-9]+")
_HEADER = ["name", "identity"]


@dataclass(frozen=True)
class Enrolment:
    """Gallery images and probes, with the person in each.

    A probe is mated if its person is in the gallery, and non-mated otherwise.
    """

    gallery: tuple[str, ...]
    gallery_people: tuple[str, ...]
    probes: tuple[str, ...]
    probe_people: tuple[str, ...]
    origin: str
    """Where the lists come from, in words."""

    @property
    def mated(self) -> BoolArray:
        """Return whether each probe is mated, `(probes,)`."""
        enrolled = set(self.gallery_people)
        return np.array([person in enrolled for person in self.probe_people], np.bool_)

    def digest(self) -> str:
        """Return a sha256 over all images and people, in their order."""
        columns = (self.gallery, self.gallery_people, self.probes, self.probe_people)
        return hashlib.sha256(json.dumps(columns).encode()).hexdigest()


def enrol_first_images(names: Collection[str]) -> Enrolment:
    """Enrol the first image, by name, of everyone with two or more; the others are mated probes.

    People with a single image are the non-mated probes.

    Args:
        names: Images as `Name_0001`.

    Raises:
        UserError: An image is not named like that, or nobody has two.
    """
    ordered = sorted(names)
    images: dict[str, list[str]] = {}
    for name in ordered:
        images.setdefault(_person(name), []).append(name)
    firsts = {own[0]: person for person, own in images.items() if len(own) > 1}
    if not firsts:
        raise UserError(
            f"nobody in the data set has two of its {len(ordered)} images, so no probe has a mate",
            "give `gallery` and `probes`, lists of images with identities",
        )
    probes = [name for name in ordered if name not in firsts]
    return Enrolment(
        gallery=tuple(firsts),
        gallery_people=tuple(firsts.values()),
        probes=tuple(probes),
        probe_people=tuple(map(_person, probes)),
        origin="first image of everyone with two or more",
    )


def read_enrolment(gallery: Path, probes: Path, available: Collection[str]) -> Enrolment:
    """Read two lists of images, with a `name` or `name,identity` per line, in UTF-8.

    The default identity is the one in `Name_0001`. Several images of a person may be enrolled; the
    nearest counts.

    Raises:
        UserError: A file cannot be read or is empty, a line is malformed, an image is not
            available or is listed twice, or no probe has a mate.
    """
    enrolled, probed = _read(gallery), _read(probes)
    present = set(available)
    for path, images in ((gallery, enrolled), (probes, probed)):
        missing = [name for name in images if name not in present]
        if missing:
            raise UserError(
                f"{path} names images that are not in the data set: {len(missing)}, such as "
                f"{missing[0]}",
                "give file names without folder and suffix",
            )
    both = enrolled.keys() & probed.keys()
    if both:
        raise UserError(
            f"{counted(len(both), 'image')} in both {gallery} and {probes}, such as {min(both)}: "
            "an image would match itself",
            "remove them from one of the lists",
        )
    if not set(enrolled.values()) & set(probed.values()):
        raise UserError(
            f"nobody in {probes} is in {gallery}, so no probe has a mate", "check the identities"
        )
    return Enrolment(
        gallery=tuple(enrolled),
        gallery_people=tuple(enrolled.values()),
        probes=tuple(probed),
        probe_people=tuple(probed.values()),
        origin=f"{gallery} and {probes}",
    )


def most_images(people: Sequence[str]) -> int:
    """Return the largest number of images of a person."""
    return max(Counter(people).values())


def _read(path: Path) -> dict[str, str]:
    """Return the person by image, in the file's order."""
    people: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file, skipinitialspace=True), 1):
                fields = [field.strip() for field in row]
                if not any(fields) or (number == 1 and fields == _HEADER[: len(fields)]):
                    continue
                if len(fields) > 2 or not all(fields):
                    raise UserError(
                        f"{path}, line {number}: expected name or name,identity, not "
                        f"{','.join(row)[:80]!r}",
                        "correct the line",
                    )
                if fields[0] in people:
                    raise UserError(
                        f"{path}, line {number}: {fields[0]} is listed twice", "remove a line"
                    )
                people[fields[0]] = fields[1] if len(fields) == 2 else _person(fields[0])
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror})", "check the path and its permissions"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a list of images ({error})", "give UTF-8 text") from error
    if not people:
        raise UserError(f"{path} names no images", "give a name per line")
    return people


def _person(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    if not match:
        raise UserError(
            f"the name {name} does not say who is shown, as Name_0001 does",
            "give `gallery` and `probes`, with lines name,identity",
        )
    return match[1]
