"""The detection section of a report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lfw_eval.datasets.faces import open_faces
from lfw_eval.report.page.detection_charts import detection_figure
from lfw_eval.report.page.detection_pictures import DetectionPicture, detection_pictures
from lfw_eval.report.page.faces import FaceOptions
from lfw_eval.report.page.figure import Figure
from lfw_eval.report.page.labels import detector_label, distinct
from lfw_eval.report.page.palette import Style
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.file import ResultFile
from lfw_eval.results.kinds import Result
from lfw_eval.results.speed import SpeedResult

Named = tuple[str, DetectionReport]


@dataclass(frozen=True, eq=False)
class DetectionSection:
    """The results of detectors on one set of images."""

    reports: tuple[Named, ...]
    figure: Figure
    pictures: tuple[DetectionPicture, ...]
    pictured: str
    """The detector whose boxes are drawn."""
    missing: str


def detector_reports(files: Sequence[ResultFile[Result]]) -> list[list[Named]]:
    """Return the reports of detectors with their names, grouped by images."""
    by_images: dict[str, list[Named]] = {}
    for file in files:
        for label, report in REPORTS[type(file.result)](file.result):
            members = by_images.setdefault(report.data.digest, [])
            taken = [name for name, _ in members]
            members.append((distinct(label, taken, file.path.stem), report))
    return list(by_images.values())


def detection_section(
    reports: Sequence[Named],
    drawn: Mapping[str, Style],
    prefix: str,
    faces: FaceOptions,
) -> DetectionSection:
    """Return the curves of detectors on the same images, and pictures of the last one's boxes.

    Raises:
        UserError: The images of `faces` cannot be read.
    """
    label, report = reports[-1]
    pictures: list[DetectionPicture] = []
    missing = ""
    if faces.shown and faces.images is None:
        missing = (
            "To see boxes drawn on images, name the folder or archive of the evaluated images "
            "with --faces of lfw-eval report."
        )
    elif faces.shown and faces.images is not None:
        opened = open_faces(faces.images, faces.annotations)
        if opened.digest == report.data.digest:
            pictures = detection_pictures(report, opened)
        else:
            missing = (
                f"No boxes are drawn, since {label} was not evaluated on the images of "
                f"{faces.images}; name the folder or archive that it was."
            )
    return DetectionSection(
        reports=tuple(reports),
        figure=detection_figure(reports, drawn, prefix),
        pictures=tuple(pictures),
        pictured=label,
        missing=missing,
    )


def _of_accuracy(result: AccuracyResult) -> Iterator[Named]:
    runs = [run for run in (result.reference, result.candidate) if run]
    for report, run in zip(result.detection, runs, strict=False):
        yield f"{report.detector}, {run.engine.precision.upper()}", report


REPORTS: Mapping[type[Result], Callable[[Any], Iterator[Named]]] = {
    AccuracyResult: _of_accuracy,
    DetectionReport: lambda report: iter([(detector_label(report), report)]),
    SpeedResult: lambda result: iter(()),
}
"""Detectors' reports in a result, with their names, by its class."""
