"""The options of inputs and outputs that several verbs share, declared here alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import typer

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment import Alignment, AnyAlignment
from lfw_eval.datasets.alignment.placement import AlignOn, place
from lfw_eval.datasets.dataset import Align, Dataset, open_dataset
from lfw_eval.datasets.pairs import NO_PAIRS
from lfw_eval.datasets.photographs import FolderPhotographs
from lfw_eval.system.errors import UserError
from lfw_eval.workers.in_process import HERE

_Value = TypeVar("_Value")
_PHOTOGRAPHS = (
    "Folder or archive with Name/Name_0001.jpg or with pairs.csv, insightface's .bin, or lfw, "
    "lfw-funneled or celebrities. Default: LFW, or the celebrities if LFW is unavailable."
)
PairList = Annotated[
    Path | None,
    typer.Option(
        "--pairs",
        help="Pair list: LFW's, Kaggle's, CALFW's, CPLFW's, or a CSV file of name,name,same. "
        "Default: pairs.txt or pairs.csv in the folder or archive, or beside it, or LFW's view 2.",
    ),
]
DrawPairs = Annotated[
    int | None,
    typer.Option(
        "--draw-pairs",
        metavar="N",
        help="Draw N pairs, half of them genuine, from a folder of people (Name/*.jpg) instead of "
        "reading a list; no person is in two folds.",
    ),
]
VerifyImages = Annotated[
    bool,
    typer.Option(
        "--verify-images",
        help="Reread all images to detect changes, even where size and modification time are "
        "unchanged.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Result file. Default: one in results/.")
]
TensorRTVersions = Annotated[
    list[str] | None,
    typer.Option(
        "--tensorrt",
        metavar="VERSION",
        help="TensorRT version to write a calibration cache for, such as 8.6.1; may be repeated.",
    ),
]
OutputArgument = Annotated[Path | None, typer.Argument(hidden=True)]
"""The output as the last argument, as before --output existed."""
RulesFile = Annotated[
    Path | None, typer.Option("--rules", help="TOML file of rules; see the README.")
]


@dataclass(frozen=True)
class DataOptions:
    """The data set, as the first argument or as an option, and its pairs."""

    panel: ClassVar = "Data"

    dataset_argument: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="The same as --dataset.")
    ] = None
    dataset: Annotated[str | None, typer.Option(help=_PHOTOGRAPHS)] = None
    pairs: PairList = None
    draw_pairs: DrawPairs = None
    verify_images: VerifyImages = False

    @property
    def name(self) -> str | None:
        """The data set, whichever way it was named.

        Raises:
            UserError: It was named twice.
        """
        return first_of("dataset", self.dataset, self.dataset_argument)

    def open(self, *, pairs_needed: bool = True) -> Dataset:
        """Open the data set.

        Raises:
            UserError: It is not there, or cannot be read.
        """
        return open_dataset(
            self.name,
            self.pairs,
            draw_pairs=self.draw_pairs,
            pairs_needed=pairs_needed,
            verify_images=self.verify_images,
        )


@dataclass(frozen=True)
class CalibrationDataOptions:
    """The data set that INT8 is calibrated on, where the verb's own input is another."""

    panel: ClassVar = "Data"

    dataset: Annotated[
        str | None, typer.Option(help=f"The images that INT8 is calibrated on. {_PHOTOGRAPHS}")
    ] = None
    pairs: Annotated[
        Path | None, typer.Option(help="Its pair list, whose images are not calibrated on.")
    ] = None
    verify_images: VerifyImages = False

    def open(self, *, calibrates: bool) -> Dataset:
        """Open the data set; where nothing is calibrated and the user named none, an empty one.

        Raises:
            UserError: It is not there, or cannot be read.
        """
        if not calibrates and self.dataset is None and self.pairs is None:
            return Dataset("none", "no images", FolderPhotographs({}), NO_PAIRS)
        return open_dataset(
            self.dataset, self.pairs, pairs_needed=False, verify_images=self.verify_images
        )


@dataclass(frozen=True)
class AlignmentOptions:
    """From a photograph to the crop that the network takes."""

    panel: ClassVar = "Alignment"

    boxes: Annotated[
        Path | None,
        typer.Option(help="CSV image,x,y,w,h of faces to crop, grown by 10 %, instead of MTCNN."),
    ] = None
    margin: Annotated[
        int, typer.Option(min=0, help="MTCNN's margin, in pixels of the photograph.")
    ] = 32
    align: Annotated[
        Align | None,
        typer.Option(
            help="mtcnn: its box with a margin. five-point: landmarks to where ArcFace's crops "
            "have them, or SphereFace's of 112x96. none: images that are aligned crops already. "
            "Default: none for a .bin, five-point for networks of 112x112 and those that are not "
            "square, mtcnn for all others.",
        ),
    ] = None
    template: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of five points of your own for five-point: height, width and points, "
            "x and y of the eyes, the nose and the corners of the mouth.",
        ),
    ] = None

    align_on: Annotated[
        AlignOn,
        typer.Option(
            help="What detects and crops faces by MTCNN. auto: the GPUs of --engine tensorrt where "
            "they can, or else the CPU. Crops of the two differ by rounding.",
        ),
    ] = "auto"

    def of(self, dataset: Dataset, size: CropSize) -> Alignment:
        """Return the way from a data set's photographs to crops of a size.

        Raises:
            UserError: The options contradict each other, or the data set.
        """
        return dataset.alignment(size, self.align, self.boxes, self.margin, self.template)

    def placed(self, dataset: Dataset, size: CropSize) -> AnyAlignment:
        """Return the same on what was asked for, for verbs without an engine.

        Raises:
            UserError: As `of`, or no GPU can align so.
        """
        return place(self.of(dataset, size), self.align_on, (), HERE)


def first_of(name: str, *values: _Value | None) -> _Value | None:
    """Return the one value that is not None, of what can be named in several ways.

    Raises:
        UserError: There are several.
    """
    named = [value for value in values if value is not None]
    if len(named) > 1:
        raise UserError(f"`{name}` is given twice, {named[0]} and {named[1]}", "give it once")
    return next(iter(named), None)


def required_output(output: Path | None, argument: Path | None, hint: str) -> Path:
    """Return the output of a verb that has no default for it.

    Args:
        hint: What to name.

    Raises:
        UserError: Nothing is named, or two places are.
    """
    path = first_of("output", output, argument)
    if path is None:
        raise UserError("`output` is missing", hint)
    return path
