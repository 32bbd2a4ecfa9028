"""Accuracy results side by side, grouped by pairs, crops and protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lfw_eval.report.page.labels import distinct
from lfw_eval.results.accuracy import AccuracyResult, DataDescription, EngineRun, PairRows
from lfw_eval.results.file import ResultFile
from lfw_eval.results.speed import FpsWindows

_ORDER = {"fp32": 0, "fp16": 1, "int8": 2}


@dataclass(frozen=True, eq=False)
class Column:
    """One run of a group.

    Attributes:
        label: Its name in all charts and tables.
        model: The checkpoint's name.
        judged: The result whose candidate it is; None for a reference.
        fps: Its FPS in windows in turn with the other engine of its result; None without.
    """

    label: str
    run: EngineRun
    model: str
    judged: AccuracyResult | None
    fps: FpsWindows | None = None


@dataclass(frozen=True, eq=False)
class Group:
    """Runs on the same pairs, crops and protocol, which may be compared."""

    data: DataDescription
    pairs: PairRows
    protocol: Mapping[str, str | bool | float]
    columns: tuple[Column, ...]
    repeated: tuple[str, ...]
    """Sentences about duplicate candidates, which are shown once."""

    @property
    def candidates(self) -> tuple[Column, ...]:
        """The runs compared with a reference."""
        return tuple(column for column in self.columns if column.judged)

    @property
    def shown(self) -> Column:
        """The run whose errors are shown: the last candidate, or the reference alone."""
        return (self.candidates or self.columns)[-1]

    @property
    def reference_name(self) -> str:
        """What the candidates are compared with, in words."""
        names = {column.label.split(",")[0] for column in self.columns if column.judged is None}
        return names.pop() if names == {"FP32"} else "the reference"

    def reference_of(self, column: Column) -> Column | None:
        """The reference that a candidate is compared with."""
        if column.judged is None:
            return None
        key = column.judged.reference.engine.key
        references = (c for c in self.columns if c.judged is None and c.run.engine.key == key)
        return next(references, None)


def accuracy_groups(
    files: Sequence[ResultFile[AccuracyResult]], labels: Mapping[str, str]
) -> tuple[Group, ...]:
    """Group results by pairs, crops and protocol.

    Args:
        labels: Names of engines, by key.
    """
    members: dict[str, list[ResultFile[AccuracyResult]]] = {}
    for file in files:
        data, protocol = file.result.data, file.result.protocol
        key = f"{data.pairs_digest} {data.crops_sha256} {sorted(protocol.items())}"
        members.setdefault(key, []).append(file)
    return tuple(_group(group, labels) for group in members.values())


def _group(files: Sequence[ResultFile[AccuracyResult]], labels: Mapping[str, str]) -> Group:
    columns: list[Column] = []
    repeated: list[str] = []
    for file in files:
        result = file.result
        for run in (result.reference, result.candidate):
            if run is None:
                continue
            judged = result if run is result.candidate else None
            model = result.judged_model if judged else result.model
            fps = None
            if result.speed:
                fps = result.speed.candidate if judged else result.speed.reference
            same = _same(columns, run, judged)
            if same is not None:
                # Prefer windows to a pass, and an FPS measured now to that of an earlier run.
                if _reliability(columns[same].run, columns[same].fps) < _reliability(run, fps):
                    label = columns[same].label
                    columns[same] = Column(label, run, model.name, judged, fps)
                elif judged:
                    shown = columns[same]
                    repeated.append(
                        f"{file.path.name} has the same engine and distances as {shown.label}, so "
                        f"it is not shown again; it ran at {run.fps:,.1f} FPS, the one shown at "
                        f"{shown.run.fps:,.1f}."
                    )
                continue
            taken = [column.label for column in columns]
            label = distinct(labels[run.engine.key], taken, file.path.stem)
            columns.append(Column(label, run, model.name, judged, fps))
    # References first, then by precision; otherwise in the order of the files.
    columns.sort(
        key=lambda c: (c.judged is not None, _ORDER.get(c.run.engine.precision, len(_ORDER)))
    )
    first = files[0].result
    return Group(first.data, first.pairs, first.protocol, tuple(columns), tuple(repeated))


def _reliability(run: EngineRun, fps: FpsWindows | None) -> tuple[bool, bool]:
    return fps is not None, not run.from_cache


def _same(columns: Sequence[Column], run: EngineRun, judged: AccuracyResult | None) -> int | None:
    """Return the index of the column with the same engine and distances, if there is one."""
    for row, column in enumerate(columns):
        if (
            column.run.engine.key == run.engine.key
            and (column.judged is None) == (judged is None)
            and np.array_equal(column.run.verification.distances, run.verification.distances)
        ):
            return row
    return None
