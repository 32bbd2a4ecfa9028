"""The contents of a report: grouped results, figures, pairs, pictures, and what is missing."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lfw_eval.datasets.crop_store import find_crop_store
from lfw_eval.gate.rules import Rules
from lfw_eval.report.page.calibration_section import CalibrationSection, calibration_section
from lfw_eval.report.page.detection_section import (
    DetectionSection,
    detection_section,
    detector_reports,
)
from lfw_eval.report.page.faces import FaceOptions, Faces
from lfw_eval.report.page.figure import Figure
from lfw_eval.report.page.groups import Group, accuracy_groups
from lfw_eval.report.page.labels import engine_labels
from lfw_eval.report.page.metric_rows import MetricRow, metric_rows
from lfw_eval.report.page.palette import Style, styles
from lfw_eval.report.page.roc_charts import roc_figures
from lfw_eval.report.page.score_charts import fold_figure, score_figure
from lfw_eval.report.page.shown_pairs import PairList, changed_pairs, false_accepts, false_rejects
from lfw_eval.report.page.speed_charts import speed_figures
from lfw_eval.report.page.speeds import LabelledSpeed, labelled_speeds
from lfw_eval.report.page.verdict_cards import VerdictCard, verdict_cards
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.file import ResultFile, of_type
from lfw_eval.results.kinds import Result
from lfw_eval.results.speed import SpeedResult
from lfw_eval.sources import datasets

_ALIGNMENT = ("--dataset", "--pairs", "--boxes", "--margin")


@dataclass(frozen=True, eq=False)
class GroupSection:
    """The results on one set of pairs."""

    group: Group
    cards: tuple[VerdictCard, ...]
    rows: tuple[MetricRow, ...]
    curves: tuple[Figure, ...]
    changed: PairList
    false_accepts: PairList
    false_rejects: PairList
    faces_missing: str
    calibrations: tuple[CalibrationSection, ...]

    @property
    def question(self) -> str:
        """The heading of the section: the question that its cards answer."""
        labels = [card.label for card in self.cards]
        if not labels:
            return "Accuracy"
        are = "is it" if len(labels) == 1 else "are they"
        return f"Did {' or '.join(labels)} cost accuracy, and how much faster {are}?"


@dataclass(frozen=True, eq=False)
class Contents:
    """The contents of a report."""

    files: tuple[ResultFile[Result], ...]
    styles: Mapping[str, Style]
    groups: tuple[GroupSection, ...]
    speeds: tuple[LabelledSpeed, ...]
    speed_figures: tuple[Figure, ...]
    detections: tuple[DetectionSection, ...]
    faces_shown: bool

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in the page's order."""
        figures: list[Figure] = []
        for section in self.groups:
            figures += section.curves
            for calibration in section.calibrations:
                figures += filter(None, (calibration.sensitivity, *calibration.histograms))
        figures += self.speed_figures
        figures += (section.figure for section in self.detections)
        return tuple(figures)

    @property
    def missing(self) -> tuple[str, ...]:
        """Sentences about what could not be shown, and how to obtain it."""
        sentences: list[str] = []
        for section in self.groups:
            sentences += filter(None, [section.faces_missing])
            sentences += section.group.repeated
            for calibration in section.calibrations:
                sentences += calibration.missing
        sentences += filter(None, (section.missing for section in self.detections))
        return tuple(dict.fromkeys(sentences))


def contents_of(files: Sequence[ResultFile[Result]], faces: FaceOptions, rules: Rules) -> Contents:
    """Collect the contents of a report.

    Raises:
        UserError: The images of `faces` cannot be read.
    """
    files = tuple({file.sha256: file for file in files}.values())
    labels = engine_labels(files)
    accuracy = of_type(files, AccuracyResult)
    groups = accuracy_groups(accuracy, labels)
    speeds = labelled_speeds(of_type(files, SpeedResult), labels)
    detections = detector_reports(files)
    names = [column.label for group in groups for column in group.columns]
    names += [speed.label for speed in speeds]
    names += [label for reports in detections for label, _ in reports]
    drawn = styles(names)
    sections = []
    for number, group in enumerate(groups, start=1):
        prefix = f"{number}-" if len(groups) > 1 else ""
        sections.append(_group_section(group, accuracy, speeds, drawn, prefix, faces.shown, rules))
    return Contents(
        files=files,
        styles=drawn,
        groups=tuple(sections),
        speeds=speeds,
        speed_figures=tuple(speed_figures(speeds, drawn, "")) if speeds else (),
        detections=tuple(
            detection_section(reports, drawn, f"{number}-" if len(detections) > 1 else "", faces)
            for number, reports in enumerate(detections, start=1)
        ),
        faces_shown=faces.shown,
    )


def _group_section(
    group: Group,
    files: Sequence[ResultFile[AccuracyResult]],
    speeds: Sequence[LabelledSpeed],
    drawn: Mapping[str, Style],
    prefix: str,
    show: bool,
    rules: Rules,
) -> GroupSection:
    store = find_crop_store(group.data.crops_sha256) if show else None
    missing = ""
    if show and store is None:
        missing = (
            "The faces are not on this machine: no crop store in "
            f"{datasets().root / 'prepared'} has the sha256 {group.data.crops_sha256[:12]}; to "
            f"show them, run {_prepare_command(group, files)}"
        )
    faces = Faces(store)
    calibrations: list[CalibrationSection] = []
    for column in group.candidates:
        calibration = column.judged.calibration if column.judged else None
        if calibration and all(calibration != c.calibration for c in calibrations):
            number = f"{len(calibrations) + 1}-" if calibrations else ""
            calibrations.append(calibration_section(column.label, calibration, f"{prefix}{number}"))
    return GroupSection(
        group=group,
        cards=verdict_cards(group, speeds, rules),
        rows=metric_rows(group, speeds),
        curves=(
            *roc_figures(group, drawn, prefix),
            score_figure(group, drawn, prefix),
            fold_figure(group, drawn, prefix),
        ),
        changed=changed_pairs(group, faces),
        false_accepts=false_accepts(group, faces),
        false_rejects=false_rejects(group, faces),
        faces_missing=missing,
        calibrations=tuple(calibrations),
    )


def _prepare_command(group: Group, files: Sequence[ResultFile[AccuracyResult]]) -> str:
    """Return the command that rebuilds the group's crop store, from the command of its result."""
    file = next(f for f in files if f.result.data.crops_sha256 == group.data.crops_sha256)
    try:
        words = shlex.split(file.environment.command)
    except ValueError:
        words = []
    options: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in _ALIGNMENT:
            options += [word, following]
        elif word.startswith(tuple(f"{name}=" for name in _ALIGNMENT)):
            options.append(word)
    if group.data.aligned_on_gpu:
        options += ["--align-on", "gpu"]
    return shlex.join(["lfw-eval", "prepare", *options])
