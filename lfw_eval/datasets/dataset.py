"""A data set to evaluate on: photographs and pairs, the user's own or fetched."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lfw_eval.datasets.alignment import Alignment
from lfw_eval.datasets.celebrities import celebrity_files, draw_pairs
from lfw_eval.datasets.crop_store import CropStore, build_crop_store
from lfw_eval.datasets.lfw import NAMES as LFW_NAMES
from lfw_eval.datasets.lfw import local_lfw, local_pairs
from lfw_eval.datasets.pairs import Pairs, read_pairs
from lfw_eval.datasets.photographs import FolderPhotographs, Photographs, open_photographs
from lfw_eval.errors import UserError
from lfw_eval.sources import NoSourceError, datasets, fetch

NOT_LFW = (
    "This is NOT LFW: 118 photographs of five people, for want of LFW. It shows that the pipeline "
    "works; its accuracy cannot be compared with published numbers."
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Photographs and the pairs to verify.

    Attributes:
        name: Short, for paths and calibration lists.
        title: For people.
        remark: What a reader of the numbers must know; empty for LFW.
    """

    name: str
    title: str
    photographs: Photographs
    pairs: Pairs
    remark: str = ""

    def crop_store(self, alignment: Alignment, names: Sequence[str] | None = None) -> CropStore:
        """Align the named images, or those of the pairs; open what was aligned before."""
        parent = datasets().root / "prepared" / self.name
        return build_crop_store(self.photographs, names or self.pairs.names, alignment, parent)


def open_dataset(given: str | None, pairs: Path | None) -> Dataset:
    """Open what `--dataset` names: a path, `lfw`, `lfw-funneled` or `celebrities`.

    Without one: LFW from the root of the data sets or its mirror; where neither has it, the
    celebrities, and says so.

    Args:
        given: A folder or .tgz in LFW's layout, or a name.
        pairs: A pair list in LFW's format; by default `pairs.txt` beside the photographs, or the
            official one.

    Raises:
        UserError: There is no such path or name, or the pairs name images that it lacks.
    """
    if given is None:
        try:
            return _lfw(_local_or_fetched_lfw(), pairs)
        except NoSourceError as error:
            if pairs is not None:
                raise
            print(f"LFW is not here and cannot be fetched: {error}", file=sys.stderr)
            print("Evaluating on the celebrities instead.", file=sys.stderr)
            return _celebrities()
    if given == "celebrities":
        if pairs is not None:
            raise UserError("--pairs does not go with --dataset celebrities, which draws its own")
        return _celebrities()
    if given in LFW_NAMES and not Path(given).exists():
        collection = datasets()
        return _lfw(fetch(collection.entry(given), collection), pairs)
    if not Path(given).exists():
        raise UserError(
            f"--dataset {given} does not exist; give a folder or .tgz with Name/Name_0001.jpg, or "
            f"one of {', '.join((*LFW_NAMES, 'celebrities'))}"
        )
    return _lfw(Path(given), pairs)


def _local_or_fetched_lfw() -> Path:
    collection = datasets()
    return local_lfw() or fetch(collection.entry("lfw"), collection)


def _lfw(path: Path, pairs: Path | None) -> Dataset:
    photographs = open_photographs(path)
    found = read_pairs(pairs or _official_pairs(path))
    found.check_images(photographs.names)
    return Dataset(path.name.partition(".")[0], f"LFW layout, {path}", photographs, found)


def _official_pairs(photographs: Path) -> Path:
    collection = datasets()
    return local_pairs(photographs) or fetch(collection.entry("lfw-pairs"), collection)


def _celebrities() -> Dataset:
    collection = datasets()
    files = celebrity_files(fetch(collection.entry("celebrities"), collection))
    pairs = draw_pairs(list(files))
    return Dataset("celebrities", "five celebrities", FolderPhotographs(files), pairs, NOT_LFW)
