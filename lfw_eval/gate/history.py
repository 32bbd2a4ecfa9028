"""Committed results over time: their metrics, each judged against the previous result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from lfw_eval.gate.judge import judge
from lfw_eval.gate.kinds import JUDGING
from lfw_eval.gate.rules import Rules
from lfw_eval.gate.tracked import Tracked
from lfw_eval.gate.verdict import Finding
from lfw_eval.results.file import ResultFile, read_result
from lfw_eval.results.kinds import Result
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class Moment:
    """A result, and how it compares with the previous one of its series.

    Attributes:
        findings: By metric; empty for the first of a series.
        differs: Why it cannot be compared, or empty.
    """

    path: Path
    time: datetime
    commit: str
    tracked: Tracked
    findings: Mapping[str, Finding]
    differs: str = ""


@dataclass(frozen=True)
class History:
    """All results of a folder by time, and why other files were skipped."""

    moments: tuple[Moment, ...]
    skipped: tuple[str, ...]

    def series(self) -> dict[str, list[Moment]]:
        """Return the moments by series, oldest first."""
        series: dict[str, list[Moment]] = {}
        for moment in self.moments:
            series.setdefault(moment.tracked.series, []).append(moment)
        return series


def read_history(folder: Path, rules: Rules) -> History:
    """Read the results in a folder and its subfolders, and judge each against the previous one.

    Raises:
        UserError: The folder is missing or has no results.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a directory", "name the folder of the result files")
    files, skipped = [], []
    for path in sorted(folder.rglob("*.json")):
        try:
            files.append(read_result(path))
        except UserError as error:
            skipped.append(str(error))
    files.sort(key=lambda file: (_time(file), str(file.path)))
    latest: dict[str, ResultFile[Result]] = {}
    moments = []
    for file in tqdm(files, desc="judge", unit="result", disable=None):
        tracked_of = JUDGING[type(file.result)].tracked
        if tracked_of is None:
            skipped.append(f"{file.path} is of benchmark; history takes evaluate and detect")
            continue
        tracked = tracked_of(file.result)
        moments.append(_moment(file, tracked, latest.get(tracked.series), rules))
        latest[tracked.series] = file
    if not moments:
        why = f" ({skipped[0]})" if skipped else ""
        raise UserError(
            f"{folder} has no results of evaluate or detect{why}",
            "name the folder that they were written to",
        )
    return History(tuple(moments), tuple(skipped))


def _time(file: ResultFile[Result]) -> datetime:
    return datetime.fromisoformat(file.environment.time)


def _moment(
    file: ResultFile[Result],
    tracked: Tracked,
    before: ResultFile[Result] | None,
    rules: Rules,
) -> Moment:
    findings: Sequence[Finding] = ()
    differs = ""
    if before:
        try:
            names = (file.path.name, before.path.name)
            findings = judge(file.result, before.result, rules, names).findings
        except UserError as error:
            differs = error.problem
    return Moment(
        path=file.path,
        time=_time(file),
        commit=(file.environment.git or "unknown")[:8],
        tracked=tracked,
        findings={finding.metric: finding for finding in findings},
        differs=differs,
    )
