"""What refinement is measured on: networks with their crops of LFW, and draws of calibration crops.

The ten folds of LFW's pairs show different people: what is calibrated on images of one fold is
evaluated on the pairs of the other nine, whose people it has not seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.sampler import CalibrationList, draw_images
from lfw_eval.checkpoints.checkpoint import DEFAULT, Checkpoint, open_checkpoint
from lfw_eval.datasets.alignment import BoxAlignment
from lfw_eval.datasets.crop_store import CropStore
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.datasets.pairs import Pairs

NETWORKS = ("facenet", "mobilefacenet")
QUICK_PAIRS = 20
"""Genuine and impostor pairs of every fold, with `--quick`."""


@dataclass(frozen=True, eq=False)
class Draw:
    """Images to calibrate on, and the pairs of the other folds.

    Attributes:
        images: Of the people of one fold.
        pairs: Of all other folds.
    """

    number: int
    images: CalibrationList
    pairs: Pairs


@dataclass(frozen=True, eq=False)
class Case:
    """A network and the crops of all images.

    Attributes:
        name: One of `NETWORKS`.
        pairs: All pairs, or a few.
        all_pairs: All pairs, whose images are calibrated on.
    """

    name: str
    checkpoint: Checkpoint
    store: CropStore
    pairs: Pairs
    all_pairs: Pairs

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """The rows of the store that are embedded, in the order of the pairs' names."""
        return self.store.rows(self.pairs.names)

    @cached_property
    def crops(self) -> NDArray[np.uint8]:
        """The crops that are embedded, uint8 (n, height, width, 3)."""
        return self.store.crops[self.rows]

    def network(self) -> onnx.ModelProto:
        """Return the network in FP32."""
        return onnx.load(self.checkpoint.model)

    def draws(self, count: int, crops: int) -> Iterator[Draw]:
        """Yield draws of up to so many calibration crops, each from the people of another fold."""
        for number in range(count):
            pairs = self.all_pairs
            rows = np.union1d(*(side[pairs.fold == number] for side in (pairs.left, pairs.right)))
            names = draw_images([pairs.names[row] for row in rows], crops)
            evaluated = selected(self.pairs, self.pairs.fold != number)
            images = CalibrationList(names, f"drawn from fold {number + 1} of the pairs")
            yield Draw(number + 1, images.among(evaluated.names), evaluated)


def selected(pairs: Pairs, chosen: NDArray[np.bool_]) -> Pairs:
    """Return some of the pairs, their folds numbered anew."""
    left, right = ([pairs.names[row] for row in side[chosen]] for side in (pairs.left, pairs.right))
    fold = np.unique(pairs.fold[chosen], return_inverse=True)[1]
    return Pairs.of(left, right, pairs.genuine[chosen], fold)


def few(pairs: Pairs) -> Pairs:
    """Return the first pairs of every fold."""
    turns = np.zeros(len(pairs), np.intp)
    for fold in range(pairs.folds):
        for genuine in (True, False):
            members = (pairs.fold == fold) & (pairs.genuine == genuine)
            turns[members] = np.arange(members.sum())
    return selected(pairs, turns < QUICK_PAIRS)


def open_case(
    name: str, dataset: Dataset, boxes: Path, mobilefacenet: Path, *, quick: bool
) -> Case:
    """Open a network and its crops: FaceNet's around boxes, MobileFaceNet's by five points."""
    if name == "facenet":
        checkpoint = open_checkpoint(DEFAULT)
        store = dataset.crop_store(BoxAlignment(boxes))
    else:
        # Its graph normalises by itself.
        checkpoint = open_checkpoint(str(mobilefacenet), "none")
        store = dataset.crop_store(dataset.alignment(checkpoint.crop_size()))
    pairs = few(dataset.pairs) if quick else dataset.pairs
    return Case(name, checkpoint, store, pairs, dataset.pairs)
