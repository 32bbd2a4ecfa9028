"""Committed results over time: their metrics, and where one regressed beside the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from lfw_eval.gate.judge import judge
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.verdict import Finding
from lfw_eval.results.accuracy import AccuracyResult
from lfw_eval.results.detection import DetectionReport
from lfw_eval.results.file import ResultFile, read_result
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class Moment:
    """A result's metrics.

    Attributes:
        data: The data set's name.
        series: What it may be compared with: data, network, precision and device.
        findings: By metric, beside the result before it in the series; empty for the first.
        differs: Why it cannot be compared with that one, or empty.
    """

    path: Path
    time: datetime
    commit: str
    data: str
    series: str
    metrics: Mapping[str, float]
    findings: Mapping[str, Finding]
    differs: str = ""


@dataclass(frozen=True)
class History:
    """All results of a folder, by series and time, and the files that are none, with why."""

    moments: tuple[Moment, ...]
    skipped: tuple[str, ...]

    def series(self) -> dict[str, list[Moment]]:
        """Return the moments by series, oldest first."""
        found: dict[str, list[Moment]] = {}
        for moment in self.moments:
            found.setdefault(moment.series, []).append(moment)
        return found


def read_history(folder: Path, rules: Rules) -> History:
    """Read every result in a folder and those below it, and judge each by the one before.

    Raises:
        UserError: The folder is missing or has no result.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder", "give the one that result files are kept in")
    files, skipped = [], []
    for path in sorted(folder.rglob("*.json")):
        try:
            files.append(read_result(path))
        except UserError as error:
            skipped.append(str(error))
    files.sort(key=lambda file: (_time(file), str(file.path)))
    latest: dict[str, ResultFile] = {}
    moments = []
    for file in tqdm(files, desc="judge", unit="result", disable=None):
        measured = _measured(file)
        if measured is None:
            skipped.append(f"{file.path} is of benchmark, and history is of evaluate and detect")
            continue
        data, series, metrics = measured
        moments.append(_moment(file, data, series, metrics, latest.get(series), rules))
        latest[series] = file
    if not moments:
        why = f" ({skipped[0]})" if skipped else ""
        raise UserError(
            f"{folder} has no result of evaluate or detect{why}",
            "give the folder that `output` names",
        )
    return History(tuple(moments), tuple(skipped))


def _time(file: ResultFile) -> datetime:
    return datetime.fromisoformat(file.environment.time)


def _measured(file: ResultFile) -> tuple[str, str, dict[str, float]] | None:
    """The data set, the series and the metrics of a result; None of a speed alone."""
    result = file.result
    if isinstance(result, AccuracyResult):
        run, outcome = result.judged, result.judged.verification
        engine = run.engine
        return (
            result.data.name,
            f"{result.data.name} · {result.model.name} · {engine.precision} · {engine.device}",
            {
                "ACC": outcome.accuracy.value,
                "AUC": outcome.auc.value,
                "EER": outcome.eer.value,
                "VAL": outcome.val.value,
                "FPS": run.fps,
            },
        )
    if isinstance(result, DetectionReport):
        names = (result.data.title, result.detector, str(result.settings.get("arithmetic", "")))
        metrics = {"AP": result.asked.overall.value, "FPS": result.fps}
        return result.data.title, " · ".join(filter(None, names)), metrics
    return None


def _moment(
    file: ResultFile,
    data: str,
    series: str,
    metrics: Mapping[str, float],
    before: ResultFile | None,
    rules: Rules,
) -> Moment:
    findings: Sequence[Finding] = ()
    differs = ""
    if before:
        try:
            names = (file.path.name, before.path.name)
            findings = judge(file.result, before.result, rules, names).findings
        except UserError as error:
            differs = str(error)
    return Moment(
        path=file.path,
        time=_time(file),
        commit=(file.environment.git or "unknown")[:8],
        data=data,
        series=series,
        metrics=metrics,
        findings={finding.metric: finding for finding in findings},
        differs=differs,
    )
