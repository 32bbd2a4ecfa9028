"""Where the pairs of a folder or archive of images come from."""

from dataclasses import dataclass
from pathlib import Path

from lfw_eval.datasets.drawn_pairs import draw_pairs
from lfw_eval.datasets.pair_csv import write_pair_table
from lfw_eval.datasets.pair_files import NAMES, PairFile, local_pairs, pairs_in
from lfw_eval.datasets.pair_list import read_pair_list
from lfw_eval.datasets.pairs import NO_PAIRS, Pairs
from lfw_eval.datasets.photographs import Photographs
from lfw_eval.results.caution import Caution
from lfw_eval.sources import NoSourceError, datasets, fetch
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class SourcedPairs:
    """Pairs, with what a result says of them.

    Attributes:
        pairs: Perhaps none, where none are needed.
        title: Of the data set that has them, for people.
        caution: Why its numbers may not be compared with others.
    """

    pairs: Pairs
    title: str
    caution: Caution = ""


@dataclass(frozen=True)
class PairSource:
    """What the user said of the pairs.

    Attributes:
        file: A list.
        number: Of pairs to draw.
        needed: Images alone are not enough.

    Raises:
        UserError: Both are given.
    """

    file: Path | None
    number: int | None
    needed: bool = True

    def __post_init__(self) -> None:
        if self.file is not None and self.number is not None:
            raise UserError("`pairs` does not go with `draw_pairs`", "leave one out")

    @property
    def is_default(self) -> bool:
        """Whether the user left it to the data set."""
        return self.file is None and self.number is None

    def require_default(self, dataset: str, why: str) -> None:
        """Refuse what the user said, for a data set that takes no other pairs.

        Args:
            dataset: Its name.
            why: It takes no others.

        Raises:
            UserError: The user said something.
        """
        if not self.is_default:
            option = "draw_pairs" if self.file is None else "pairs"
            raise UserError(f"`{option}` does not go with `dataset` {dataset}, which {why}")

    def pairs_of(self, photographs: Photographs, path: Path, name: str) -> SourcedPairs:
        """Return the pairs of a data set.

        Args:
            photographs: Its images.
            path: Where they are.
            name: Of the data set.

        Raises:
            UserError: There is no list, or it does not fit the images; or there are too few people
                to draw pairs of.
        """
        if self.number is not None:
            return _drawn(photographs, path, name, self.number)
        listed = self.file or _list_beside(photographs, path, self.needed)
        if listed:
            pairs = read_pair_list(listed, photographs.paths, path)
            return SourcedPairs(pairs, _title(path, listed, pairs))
        if self.needed:
            return SourcedPairs(_official_pairs(photographs, path), f"LFW layout, {path}")
        return SourcedPairs(NO_PAIRS, str(path))


def _title(path: Path, listed: PairFile, pairs: Pairs) -> str:
    if listed.name == "pairs.txt" and pairs.folds_stated:
        return f"LFW layout, {path}"
    folds = "" if pairs.folds_stated else f" in {pairs.folds} consecutive folds"
    return f"{path}, pairs of {listed.name}{folds}"


def _drawn(photographs: Photographs, path: Path, name: str, number: int) -> SourcedPairs:
    copies = photographs.copies()
    paths = {name: file for name, file in photographs.paths.items() if name not in copies}
    pairs = draw_pairs(paths, number, str(path))
    # Not in the folder of the images, which may be shared or read-only.
    file = datasets().root / "prepared" / name / f"drawn-{number}-{pairs.digest()[:8]}.csv"
    write_pair_table(pairs, file)
    return SourcedPairs(pairs, f"{path}, {number:,} pairs drawn by a seed, {file}", "drawn")


def _list_beside(photographs: Photographs, path: Path, needed: bool) -> PairFile | None:
    if len(photographs.pair_lists) > 1:
        members = ", ".join(file.member for file in photographs.pair_lists)
        raise UserError(
            f"{path} has several pair lists: {members}",
            "leave one in it, or evaluate it with `pairs`",
        )
    if photographs.pair_lists:
        return photographs.pair_lists[0]
    # A list beside a folder may well be that of another data set.
    return local_pairs(path) if needed or path.is_file() else pairs_in(path)


def _official_pairs(photographs: Photographs, path: Path) -> Pairs:
    """Return LFW's own pairs, for images that are LFW's."""
    collection = datasets()
    lacking = f"neither in {path} nor beside it is a pair list ({', '.join(NAMES)})"
    # In words that fit the verbs that take no list, too.
    hint = (
        "put one there, or evaluate the data set with `pairs` or, if it has a folder of images for "
        "each person, with `draw_pairs` 1000"
    )
    try:
        listed = fetch(collection.entry("lfw-pairs"), collection)
    except NoSourceError as error:
        raise NoSourceError(
            f"{lacking}, and LFW's own is unavailable: {error.problem}",
            f"{hint}; for LFW's own, {error.hint}",
        ) from error
    try:
        return read_pair_list(listed, photographs.paths, path)
    except UserError as error:
        raise UserError(f"{lacking}, and LFW's does not fit: {error.problem}", hint) from error
