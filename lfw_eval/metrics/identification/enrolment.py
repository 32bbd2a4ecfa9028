"""Who is in the gallery and who is looked for: by the data set's own names, or by two lists."""

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

_NUMBERED = re.compile(r"(.+)_[0-9]+")
_HEADER = ["name", "identity"]


@dataclass(frozen=True)
class Enrolment:
    """Images of the gallery and probes, with the person that each shows.

    A probe is mated where its person is in the gallery, non-mated where not.
    """

    gallery: tuple[str, ...]
    gallery_people: tuple[str, ...]
    probes: tuple[str, ...]
    probe_people: tuple[str, ...]
    origin: str
    """Where the lists are from, in words."""

    @property
    def mated(self) -> BoolArray:
        """`(probes,)`."""
        enrolled = set(self.gallery_people)
        return np.array([person in enrolled for person in self.probe_people], np.bool_)

    def digest(self) -> str:
        """Return a sha256 over all images and people, in their order."""
        columns = (self.gallery, self.gallery_people, self.probes, self.probe_people)
        return hashlib.sha256(json.dumps(columns).encode()).hexdigest()


def enrol_first_images(names: Collection[str]) -> Enrolment:
    """Enrol the first image, by name, of everyone who has two or more; the others are mated probes.

    Those who have one image only are the non-mated probes: nobody in the gallery is theirs.

    Args:
        names: Images as `Name_0001`.

    Raises:
        UserError: An image is named otherwise, or nobody has two.
    """
    ordered = sorted(names)
    images: dict[str, list[str]] = {}
    for name in ordered:
        images.setdefault(_person(name), []).append(name)
    firsts = {own[0]: person for person, own in images.items() if len(own) > 1}
    if not firsts:
        raise UserError(
            f"nobody in the data set has two of its {len(ordered)} images, so no probe has a mate",
            "name who shows whom in lists, by `gallery` and `probes`",
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
    """Read two lists of images, one `name` or `name,identity` a line, in UTF-8.

    Without an identity it is that of `Name_0001`. Several images of a person may be enrolled; the
    nearest counts.

    Raises:
        UserError: A file cannot be read or is empty, a line is not of that form, an image is not
            available or named twice, or no probe has a mate.
    """
    enrolled, looked_for = _read(gallery), _read(probes)
    present = set(available)
    for path, images in ((gallery, enrolled), (probes, looked_for)):
        missing = [name for name in images if name not in present]
        if missing:
            raise UserError(
                f"{path} names {len(missing)} images that the data set lacks, such as {missing[0]};"
                " a name is that of the file, without folder and suffix"
            )
    both = enrolled.keys() & looked_for.keys()
    if both:
        raise UserError(
            f"{len(both)} images are in {gallery} and in {probes}, such as {min(both)}, and would "
            "find themselves",
            "leave them out of one",
        )
    if not set(enrolled.values()) & set(looked_for.values()):
        raise UserError(
            f"no person of {probes} is in {gallery}, so no probe has a mate", "check the identities"
        )
    return Enrolment(
        gallery=tuple(enrolled),
        gallery_people=tuple(enrolled.values()),
        probes=tuple(looked_for),
        probe_people=tuple(looked_for.values()),
        origin=f"{gallery} and {probes}",
    )


def most_images(people: Sequence[str]) -> int:
    """How many images the person has who has the most."""
    return max(Counter(people).values())


def _read(path: Path) -> dict[str, str]:
    """Person by image, in the file's order."""
    found: dict[str, str] = {}
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
                if fields[0] in found:
                    raise UserError(f"{path}, line {number}: {fields[0]} is listed twice")
                found[fields[0]] = fields[1] if len(fields) == 2 else _person(fields[0])
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror})", "name a list of images"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no list of images ({error})", "give text in UTF-8") from error
    if not found:
        raise UserError(f"{path} names no image", "give one a line")
    return found


def _person(name: str) -> str:
    match = _NUMBERED.fullmatch(name)
    if not match:
        raise UserError(
            f"who is on {name} cannot be told from its name, which is not like Name_0001",
            "give `gallery` and `probes` with lines name,identity",
        )
    return match[1]
