"""A data set to evaluate on: photographs and pairs, the user's own or fetched."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import (
    ARCFACE_SIZE,
    FACENET_SIZE,
    Alignment,
    AlreadyAligned,
    AnyAlignment,
    BoxAlignment,
    FivePointAlignment,
    GivenLandmarks,
    GpuAlignment,
    LandmarkAlignment,
    MtcnnAlignment,
    Template,
    arcface_template,
    read_template,
    takes_five_points,
)
from lfw_eval.datasets.alignment.placement import AlignOn, place
from lfw_eval.datasets.celebrities import celebrity_files, draw_pairs
from lfw_eval.datasets.crop_store import CropStore, build_crop_store
from lfw_eval.datasets.insightface_bin import read_insightface_bin
from lfw_eval.datasets.lfw import NAMES as LFW_NAMES
from lfw_eval.datasets.lfw import local_lfw
from lfw_eval.datasets.pair_source import PairSource
from lfw_eval.datasets.pairs import Pairs
from lfw_eval.datasets.photographs import FolderPhotographs, Photographs, open_photographs
from lfw_eval.results.caution import Caution
from lfw_eval.sources import NoSourceError, datasets, fetch
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE

Align = Literal["mtcnn", "five-point", "none"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Photographs and the pairs to verify.

    Attributes:
        name: Short, for paths and calibration lists.
        title: For people.
        caution: Why its numbers may not be compared with others.
        aligned: The photographs are crops that were aligned already.
        landmarks: Those that come with the photographs.
    """

    name: str
    title: str
    photographs: Photographs
    pairs: Pairs
    caution: Caution = ""
    aligned: bool = False
    landmarks: GivenLandmarks | None = None

    def crop_store(
        self,
        alignment: AnyAlignment | None = None,
        names: Sequence[str] | None = None,
        workers: Workers = HERE,
        align_on: AlignOn = "cpu",
    ) -> CropStore:
        """Align images, or open what was aligned before.

        Args:
            alignment: How the faces are cropped; by default as `self.alignment()` does, 160x160.
            names: The images, by default those of the pairs.
            workers: Who aligns.
            align_on: "gpu" detects and crops MTCNN's faces on the GPU; their crops are others than
                the CPU's, by rounding. "auto" is for an alignment beside an engine.

        Returns:
            The store, whose `crops` are in the order of its `names`, which are sorted: without
            `names` those of `pairs.names`.

        Raises:
            UserError: A photograph is corrupt, the disk is full, or no GPU can align.

        Example:
            >>> from lfw_eval import open_dataset
            >>> dataset = open_dataset("celebrities")
            >>> store = dataset.crop_store()
            >>> store.crops.shape, store.crops.dtype.name
            ((118, 160, 160, 3), 'uint8')
            >>> store.names == dataset.pairs.names
            True
        """
        parent = datasets().root / "prepared" / self.name
        names = names or self.pairs.names
        alignment = alignment or self.alignment()
        if isinstance(alignment, BoxAlignment):
            alignment.require_any(self.photographs.names)
        if not isinstance(alignment, GpuAlignment):
            alignment = place(alignment, align_on, (), workers)
        return build_crop_store(self.photographs, names, alignment, parent, workers)

    def alignment(
        self,
        size: tuple[int, int] = FACENET_SIZE,
        way: Align | None = None,
        boxes: Path | None = None,
        margin: int = 32,
        template: Path | None = None,
    ) -> Alignment:
        """Return how the faces are cropped.

        Unasked, crops that are aligned already stay as they are, those of 112x112, as ArcFace's
        networks want them, and those that are not square, as SphereFace's 112x96, are aligned by
        five points, and all others by MTCNN's box.

        Args:
            size: Height and width of what the network takes.
            way: What the user asked for.
            boxes: The user's CSV file of faces, instead of MTCNN's.
            margin: MTCNN's, in pixels of the photograph.
            template: The user's TOML file of five points, instead of ArcFace's.

        Raises:
            UserError: `boxes` or `template` is given for an alignment that takes none, or the
                template cannot be read or is for crops of another shape.
        """
        size = CropSize(*size)
        if boxes and template:
            raise UserError("`boxes` does not go with `template`", "leave one out")
        if boxes:
            if way in ("five-point", "none"):
                raise UserError(f"`boxes` does not go with `align` {way}", "leave one out")
            return BoxAlignment(boxes, size=size)
        if template:
            if way in ("mtcnn", "none"):
                raise UserError(f"`template` does not go with `align` {way}", "leave one out")
            return self._five_points(read_template(template).resized(size))
        if way == "none" or (way is None and self.aligned):
            return AlreadyAligned(size, self.aligned)
        if way == "mtcnn" or (way is None and not takes_five_points(size)):
            return MtcnnAlignment(margin, size)
        return self._five_points(arcface_template(size))

    def _five_points(self, template: Template) -> Alignment:
        if self.landmarks:
            return LandmarkAlignment(self.landmarks, template)
        return FivePointAlignment(template)

    def for_network(self, size: CropSize) -> "Dataset":
        """Return the same with the caution that crops of another size than the network's call for.

        Args:
            size: What the network takes.
        """
        if not self.aligned or max(size) == ARCFACE_SIZE.height:
            return self
        return replace(self, caution="resized")


def open_dataset(
    dataset: str | Path | None = None,
    pairs: str | Path | None = None,
    *,
    draw_pairs: int | None = None,
    pairs_needed: bool = True,
    verify_images: bool = False,
) -> Dataset:
    """Open photographs and pairs: a path, `lfw`, `lfw-funneled` or `celebrities`.

    Without one: LFW from the root of the data sets or its mirror; where it is unavailable, the
    celebrities, with a warning in the log.

    Args:
        dataset: A folder or archive of images, a .bin of insightface, or a name.
        pairs: A pair list, as `read_pair_list` reads; by default `pairs.txt` or `pairs.csv`
            in the folder or archive, or beside it, or LFW's own.
        draw_pairs: Draw this number of pairs instead, a multiple of 20, from a folder or archive of
            people; the list is written beside the crops, and named in the title.
        pairs_needed: Refuse images without a pair list.
        verify_images: Read all images to tell whether they are those of an earlier run, even
            where size, times and inode say so.

    Raises:
        UserError: The path or name does not exist, or the pairs name images that it lacks.

    Example:
        >>> from lfw_eval import open_dataset
        >>> dataset = open_dataset("celebrities")
        >>> len(dataset.photographs.names), len(dataset.pairs), dataset.pairs.folds
        (118, 2000, 10)
    """
    asked = PairSource(Path(pairs) if pairs else None, draw_pairs, pairs_needed)
    if dataset is None:
        try:
            return _photographs(_local_or_fetched_lfw(LFW_NAMES), asked, verify_images)
        except NoSourceError as error:
            if not asked.is_default:
                raise
            _LOG.warning("LFW is unavailable (%s); using the celebrities instead", error)
            return _celebrities(verify_images)
    name, path = str(dataset), Path(dataset)
    if name == "celebrities":
        asked.require_default(name, "draws its own")
        return _celebrities(verify_images)
    if name in LFW_NAMES and not path.exists():
        return _photographs(_local_or_fetched_lfw((name,)), asked, verify_images)
    if not path.exists():
        raise UserError(
            f"the data set {name} does not exist",
            f"give a folder or archive with Name/Name_0001.jpg, "
            f"a .bin, or one of {', '.join((*LFW_NAMES, 'celebrities'))}",
        )
    if path.suffix.lower() == ".bin" and path.is_file():
        asked.require_default(name, "has its own")
        crops, pair_list = read_insightface_bin(path)
        title = f"insightface's {path.name}, {path}"
        return Dataset(f"{path.stem}-bin", title, crops, pair_list, aligned=True)
    if has_templates(path):
        raise UserError(
            f"{name} has pairs of templates, not of images",
            f"evaluate it with lfw-eval testsets {name}",
        )
    return _photographs(path, asked, verify_images)


def has_templates(path: Path) -> bool:
    """Return whether a folder has the layout in which IJB-B and IJB-C are released."""
    return (path / "meta").is_dir() and (path / "loose_crop").is_dir()


def _local_or_fetched_lfw(names: Sequence[str]) -> Path:
    collection = datasets()
    return local_lfw(names) or fetch(collection.entry(names[0]), collection)


def _photographs(path: Path, asked: PairSource, verify_images: bool) -> Dataset:
    photographs = open_photographs(path, verify_images=verify_images)
    name = _short_name(path)
    sourced = asked.pairs_of(photographs, path, name)
    return Dataset(name, sourced.title, photographs, sourced.pairs, sourced.caution)


def _short_name(path: Path) -> str:
    """Return the name up to the first dot, that of the folder itself for `.` and `..`."""
    names = (path.name, path.resolve().name)
    return next(filter(None, (name.partition(".")[0] for name in names)), "images")


def _celebrities(verify_images: bool) -> Dataset:
    collection = datasets()
    files = celebrity_files(fetch(collection.entry("celebrities"), collection))
    pairs = draw_pairs(list(files))
    photographs = FolderPhotographs(files, verify_images=verify_images)
    return Dataset("celebrities", "five celebrities", photographs, pairs, "stand-in")
