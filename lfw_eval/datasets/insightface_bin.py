"""insightface's verification sets: lfw.bin, cfp_fp.bin, agedb_30.bin, calfw.bin, cplfw.bin."""

import mmap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.pairs import Pairs
from lfw_eval.datasets.photographs import Photographs, decode
from lfw_eval.datasets.pickled_functions import MalformedError, PickledArray
from lfw_eval.datasets.plain_pickle import CodeError, read_pickle
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

FOLDS = 10
_LARGEST = 4 * 2**30  # the largest of insightface's has a thirtieth of this


class PackedCrops(Photographs):
    """Crops in a .bin, named by their place in it; bytes that recur are one crop."""

    def __init__(self, path: Path, crops: Mapping[str, bytes]) -> None:
        self._path = path
        self._crops = crops
        self.names = tuple(sorted(crops))
        self.digest = file_sha256(path)

    @property
    def paths(self) -> Mapping[str, str]:
        """Their names: there are no paths in a .bin."""
        return {name: name for name in self.names}

    def read(self, names: Collection[str]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield the named crops, sorted by name."""
        for name in sorted(names):
            yield name, decode(self._crops[name], f"image {int(name)} of {self._path}")


def read_insightface_bin(path: Path) -> tuple[PackedCrops, Pairs]:
    """Read the crops and pairs of a .bin.

    It is a pickle of `(bins, issame_list)`: two encoded images for each pair, in its order, and
    whether they show one person. The code that a pickle may hold is never run. The pairs are in ten
    consecutive folds, as those of scikit-learn's `KFold` without shuffling, which insightface uses.

    Raises:
        UserError: The file cannot be read, is no such pickle or wants to run code.
    """
    images, same = _content(path)
    if len(images) != 2 * len(same):
        raise UserError(
            f"{path} has {len(images):,} images for {len(same):,} pairs, but takes two for each",
            "get a complete copy",
        )
    if len(same) < FOLDS:
        raise UserError(f"{path} has {len(same)} pairs, too few for {FOLDS} folds", "get another")
    genuine = np.array(same, bool)
    sizes = np.full(FOLDS, len(same) // FOLDS)
    sizes[: len(same) % FOLDS] += 1
    fold = np.repeat(np.arange(FOLDS), sizes)
    shares = np.bincount(fold, weights=genuine) / sizes
    if shares.min() == 0 or shares.max() == 1:
        raise UserError(
            f"{path} has pairs of one kind only in one of its ten consecutive folds, for which "
            "the protocol has no value",
            "pack genuine and impostor pairs fold by fold",
        )
    first: dict[bytes, str] = {}
    names = [first.setdefault(image, f"{index:06d}") for index, image in enumerate(images)]
    crops = PackedCrops(path, {name: image for image, name in first.items()})
    return crops, Pairs.of(names[::2], names[1::2], genuine, fold)


def _content(path: Path) -> tuple[list[bytes], list[bool]]:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} has more than 4 GiB, so it is no .bin of insightface's sets")
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            if not file.read(1):
                raise _malformed(path, "it is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                content = read_pickle(mapped)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except CodeError as error:
        raise UserError(
            f"{path} wants to run code ({error}), which was refused: a test set holds images and "
            "truth values only",
            "get a copy from a source that you trust",
        ) from None
    except MalformedError as error:
        raise _malformed(path, str(error)) from error
    if type(content) not in (tuple, list) or len(content) != 2:
        raise _malformed(path, "it holds something else")
    images, same = map(_items, content)
    if not all(type(each) in (bool, int) and each in (0, 1) for each in same):
        raise _malformed(path, "its second part is no list of true and false")
    encoded = [each.content.tobytes() if type(each) is PickledArray else each for each in images]
    if not all(type(each) is bytes and each for each in encoded):
        raise _malformed(path, "its first part is no list of encoded images")
    return encoded, same


def _items(part: Any) -> list[Any]:
    """Return the items of a list, tuple or array; of anything else none that are valid."""
    if type(part) is PickledArray:
        return list(part.content.tolist())
    return list(part) if type(part) in (list, tuple) else [None]


def _malformed(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} is no .bin of insightface, a pickle of (images, same): {why}",
        "get a complete copy",
    )
