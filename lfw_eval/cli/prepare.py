"""The verb prepare: photographs to crops, or annotated faces to COCO JSON."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.cli.flatten import Formerly
from lfw_eval.cli.options import AlignmentOptions, DataOptions, OutputArgument, first_of
from lfw_eval.cli.overwriting import require_other
from lfw_eval.datasets.alignment import FACENET_SIZE, read_template
from lfw_eval.datasets.contact_sheet import write_contact_sheet
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.datasets.faces import open_faces, write_coco
from lfw_eval.datasets.pair_csv import write_pair_list
from lfw_eval.system.errors import UserError
from lfw_eval.system.printing import counted

Annotations = Literal["wider", "fddb", "kitti", "coco"]
Layout = Literal["lfw", Annotations]
_MIN_SIDE = 32


def prepare_command(
    data: DataOptions,
    images_argument: Annotated[str | None, typer.Argument(hidden=True)] = None,
    output_argument: OutputArgument = None,
    *,
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="lfw, the default: align faces to crops. The others: the annotations' layout, of "
            "a folder, .tgz or .zip of images."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="COCO JSON to write, for all layouts but lfw."),
    ] = None,
    alignment: AlignmentOptions,
    crop_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE|HEIGHTxWIDTH",
            help="Size of the crops, in pixels. Default: that of --template, or 160.",
        ),
        Formerly("--side"),
    ] = None,
) -> None:
    """Align a data set, or write face annotations as COCO JSON.

    Aligning writes a crop store, a pair list and a contact sheet to look at.
    """
    if layout is None and data.dataset_argument in get_args(Layout):
        # The former syntax: prepare LAYOUT IMAGES OUT.json. Without images, lfw is the data set.
        layout = cast(Layout, data.dataset_argument)
        lfw = "lfw" if layout == "lfw" and data.dataset is None else None
        data = replace(data, dataset_argument=images_argument or lfw)
    path = first_of("output", output, output_argument)
    if layout and layout != "lfw":
        _write_annotations(data.name, layout, path, data.verify_images)
    elif path:
        raise UserError("`output` is for annotations", "crops go into the folder of data sets")
    else:
        _align(data.open(), alignment, crop_size)


def _write_annotations(
    images: str | None, layout: Annotations, output: Path | None, verify_images: bool
) -> None:
    if images is None or output is None or output.suffix != ".json":
        raise UserError(f"--layout {layout} needs images and an output", "give IMAGES -o OUT.json")
    faces = open_faces(Path(images), form=layout, verify_images=verify_images)
    require_other("output", output, "the annotations", faces.annotations)
    write_coco(faces, output)
    print(
        f"{counted(len(faces), 'image')}, {counted(faces.faces, 'face')} and "
        f"{counted(faces.ignored, 'ignored region')}, "
        f"{output}"
    )
    if faces.others:
        others = counted(faces.others, "box", "boxes")
        print(f"left out: {others} of categories other than {faces.category}")


def _align(dataset: Dataset, alignment: AlignmentOptions, crop_size: str | None) -> None:
    if crop_size:
        size = _crop_size(crop_size)
    elif alignment.template:
        size = read_template(alignment.template).size
    else:
        size = FACENET_SIZE
    store = dataset.crop_store(alignment.placed(dataset, size))
    write_pair_list(dataset.pairs, store.folder)
    sheet = write_contact_sheet(store)
    undetected = int((~store.detected).sum())
    crops, pairs = counted(len(store.names), "crop"), counted(len(dataset.pairs), "pair")
    print(f"{crops} and {pairs} in {store.folder}")
    print(f"{counted(undetected, 'image')} without a detected face, cut to the centre box")
    print(f"contact sheet {sheet}")


def _crop_size(text: str) -> CropSize:
    """Return the size of crops that a user means by one number or two.

    Raises:
        UserError: They are not such numbers.
    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) >= _MIN_SIDE for side in sides):
        raise UserError(
            f"`crop_size` {text!r} is neither a side nor height x width, each at least "
            f"{_MIN_SIDE} pixels",
            "give 160 or 112x96, for example",
        )
    return CropSize(int(sides[0]), int(sides[-1]))
