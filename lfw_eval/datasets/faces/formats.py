"""The formats of face detection data sets, recognised by their files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from lfw_eval.datasets.faces.coco import read_coco
from lfw_eval.datasets.faces.dataset import FaceDataset, face_dataset
from lfw_eval.datasets.faces.fddb import LISTS, read_fddb
from lfw_eval.datasets.faces.kitti import read_kitti
from lfw_eval.datasets.faces.listing import Listing
from lfw_eval.datasets.faces.wider import read_wider
from lfw_eval.sources.archives import SUFFIXES as ARCHIVES
from lfw_eval.system.errors import UserError

Form = Literal["wider", "fddb", "kitti", "coco"]
READERS: dict[Form, Callable[[Path], Listing]] = {
    "wider": read_wider,
    "fddb": read_fddb,
    "kitti": read_kitti,
    "coco": read_coco,
}
# Text first: the .mat of the evaluation does not say which faces are invalid.
_WIDER = ("wider_face_val_bbx_gt.txt", "wider_face_val.mat")
_FORMATS = (
    "COCO annotations (one .json in the folder or with the archive's name), WIDER FACE "
    "(wider_face_val_bbx_gt.txt or .mat), FDDB (FDDB-fold-01-ellipseList.txt) or KITTI labels "
    "(label_2 beside image_2)"
)


def open_faces(
    path: Path,
    annotations: Path | None = None,
    form: Form | None = None,
    *,
    verify_images: bool = False,
) -> FaceDataset:
    """Open a face detection data set in the format of COCO, WIDER FACE, FDDB or KITTI.

    Args:
        path: A folder or archive with the images, however deep.
        annotations: COCO's .json, WIDER's .txt or .mat, an ellipse list of FDDB or the folder with
            all, or the folder with KITTI's labels. By default what is in the folder in its
            official place, or beside an archive.
        form: The only format to accept; any if left out.
        verify_images: Read all images to tell whether they are those of an earlier run, even
            where size, times and inode say so.

    Raises:
        UserError: It is none of these, or the annotations or images are invalid.
    """
    for required in filter(None, (path, annotations)):
        if not required.exists():
            raise UserError(
                f"{required} does not exist", "give the images, and the annotations of their faces"
            )
    if not path.is_dir() and not path.name.lower().endswith(ARCHIVES):
        raise UserError(
            f"{path} is neither a folder nor a {', '.join(ARCHIVES)}", "give the images"
        )
    if annotations is not None and annotations.is_file():
        source = annotations
    else:
        source = next(_places(annotations or path), annotations or path)
    reader = _reader(source)
    if form is not None and reader is not READERS[form]:
        other = next(name for name, function in READERS.items() if function is reader)
        raise UserError(
            f"{source} has annotations in the format of {other}, not {form}", "give that"
        )
    return face_dataset(reader(source), path, verify_images=verify_images)


def _places(path: Path) -> Iterator[Path]:
    """Annotations in the official places of a folder, or beside an archive."""
    if path.is_file():
        ending = next(e for e in ARCHIVES if path.name.lower().endswith(e))
        documents = [path.with_name(path.name[: -len(ending)] + ".json")]
        yield from filter(Path.is_file, documents)
        documents, path = [], path.parent
    else:
        documents = sorted(path.glob("*.json"))
    # WIDER's images may be named by the folder that its zip makes, beside that of the annotations.
    for folder in (path, path / "wider_face_split", path.parent / "wider_face_split"):
        yield from filter(Path.is_file, (folder / name for name in _WIDER))
    for folder in (path, path / "FDDB-folds", path.parent / "FDDB-folds"):
        if any(folder.glob(LISTS)):
            yield folder
    labels = (path / "label_2", path / "training" / "label_2", path.parent / "label_2")
    yield from filter(Path.is_dir, labels)
    if len(documents) > 1:
        names = ", ".join(document.name for document in documents[:3])
        raise UserError(f"{path} has several .json files ({names})", "name one with `annotations`")
    yield from documents


def _reader(annotations: Path) -> Callable[[Path], Listing]:
    if annotations.is_dir():
        if any(annotations.glob(LISTS)):
            return read_fddb
        if any(annotations.glob("*.txt")):
            return read_kitti
    name = annotations.name.lower()
    if name.endswith(".json"):
        return read_coco
    if name.startswith("wider_face_") and name.endswith((".txt", ".mat")):
        return read_wider
    if annotations.match(LISTS):
        return read_fddb
    raise UserError(f"{annotations} has no face annotations", f"give {_FORMATS}")
