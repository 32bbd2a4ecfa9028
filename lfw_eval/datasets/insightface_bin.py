"""insightface's verification sets: lfw.bin, cfp_fp.bin, agedb_30.bin, calfw.bin, cplfw.bin."""

import hashlib
import mmap
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lfw_eval.datasets.image_hashes import combined_sha256
from lfw_eval.datasets.pairs import Pairs
from lfw_eval.datasets.photographs import EncodedPhotograph, Photographs
from lfw_eval.datasets.pickled_arrays import NAMES, PickledArray
from lfw_eval.sources.pickled_objects import CodeError, MalformedError
from lfw_eval.sources.plain_pickle import PickleReader
from lfw_eval.system.errors import UserError, unreadable

FOLDS = 10
_MAX_SIZE = 4 * 2**30  # 30 times the largest of insightface's


class PackedCrops(Photographs):
    """The crops of a .bin, named by their position; identical crops are stored once."""

    def __init__(self, path: Path, crops: Mapping[str, bytes]) -> None:
        self._path = path
        self._crops = crops
        self.names = tuple(sorted(crops))

    @cached_property
    def digest(self) -> str:
        """A hash over the names and contents of all crops, which are in memory."""
        hashes = {name: hashlib.sha256(self._crops[name]).hexdigest() for name in self.names}
        return combined_sha256(hashes)

    @property
    def paths(self) -> Mapping[str, str]:
        """Return the names: a .bin has no paths."""
        return {name: name for name in self.names}

    def copies(self) -> Collection[str]:
        """Return none."""
        return ()

    def encoded(self, names: Collection[str]) -> Iterator[EncodedPhotograph]:
        """Yield the named crops, sorted by name."""
        for name in sorted(names):
            where = f"image {int(name)} of {self._path}"
            yield EncodedPhotograph(name, self._crops[name], where)


def read_insightface_bin(path: Path) -> tuple[PackedCrops, Pairs]:
    """Read the crops and pairs of a .bin.

    It is a pickle of `(bins, issame_list)`: two encoded images per pair, in order, and whether they
    show the same person. The code that a pickle may hold is never run. The pairs are in ten
    consecutive folds, those of scikit-learn's `KFold` without shuffling, which insightface uses.

    Raises:
        UserError: The file cannot be read, is not such a pickle or would run code.
    """
    images, same = _content(path)
    if len(images) != 2 * len(same):
        raise UserError(
            f"{path} has {len(images):,} images for {len(same):,} pairs, but needs two per pair",
            "get a complete copy",
        )
    if len(same) < FOLDS:
        raise UserError(
            f"{path} has {len(same)} pairs, too few for {FOLDS} folds",
            f"pack at least {FOLDS} pairs",
        )
    genuine = np.array(same, bool)
    sizes = np.full(FOLDS, len(same) // FOLDS)
    sizes[: len(same) % FOLDS] += 1
    fold = np.repeat(np.arange(FOLDS), sizes)
    shares = np.bincount(fold, weights=genuine) / sizes
    if shares.min() == 0 or shares.max() == 1:
        raise UserError(
            f"{path} has only genuine or only impostor pairs in one of its ten consecutive folds, "
            "which the protocol cannot score",
            "pack genuine and impostor pairs fold by fold",
        )
    first: dict[bytes, str] = {}
    names = [first.setdefault(image, f"{index:06d}") for index, image in enumerate(images)]
    crops = PackedCrops(path, {name: image for image, name in first.items()})
    return crops, Pairs.of(names[::2], names[1::2], genuine, fold)


def _content(path: Path) -> tuple[list[bytes], list[bool]]:
    try:
        if path.stat().st_size > _MAX_SIZE:
            raise UserError(
                f"{path} is larger than 4 GiB, so it is not an insightface .bin",
                "give a file such as lfw.bin or cfp_fp.bin",
            )
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            if not file.read(1):
                raise _malformed(path, "it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                content = PickleReader(mapped, NAMES).load()
    except OSError as error:
        raise unreadable(path, error) from error
    except CodeError as error:
        raise UserError(
            f"{path} would run code ({error}), which was refused: a test set holds only images and "
            "truth values",
            "get a copy from a source that you trust",
        ) from None
    except MalformedError as error:
        raise _malformed(path, str(error)) from error
    if type(content) not in (tuple, list) or len(content) != 2:
        raise _malformed(path, "it holds something else")
    images, same = map(_items, content)
    if not all(type(value) in (bool, int) and value in (0, 1) for value in same):
        raise _malformed(path, "its second part is not a list of true and false")
    encoded = [image.content if type(image) is PickledArray else image for image in images]
    if not all(type(image) is bytes and image for image in encoded):
        raise _malformed(path, "its first part is not a list of encoded images")
    return encoded, same


def _items(part: Any) -> list[Any]:
    """Return the items of a list, tuple or array; for anything else, an invalid item."""
    if type(part) is PickledArray:
        return list(part.content)
    return list(part) if type(part) in (list, tuple) else [None]


def _malformed(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} is not an insightface .bin, a pickle of (images, same): {why}",
        "get a complete copy",
    )
