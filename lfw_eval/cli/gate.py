"""The verb gate: whether a result is as good as a baseline."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.cli.errors import as_options
from lfw_eval.cli.exit_codes import CANNOT_TELL, FAILED
from lfw_eval.cli.flatten import Formerly
from lfw_eval.cli.options import RulesFile
from lfw_eval.gate.comparable import NotComparableError, file_notes
from lfw_eval.gate.judge import judge, judge_against_reference
from lfw_eval.gate.junit import junit_xml
from lfw_eval.gate.rules import DEFAULT, Rules
from lfw_eval.gate.verdict import GateResult
from lfw_eval.report.tables.gate import gate_markdown, gate_table
from lfw_eval.results.codec import plain
from lfw_eval.results.file import ResultFile, locked_result, read_result
from lfw_eval.results.kinds import Result
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256, replacing, require_writable, write_atomically

# Parameters that findings mention.
_NAMES = {name: f"--{name}" for name in ("accept", "baseline", "compare")}


def gate_command(
    candidate: Annotated[Path, typer.Argument(help="Result file to judge.")],
    baseline: Annotated[
        Path | None,
        typer.Option(help="Result file to compare with. Default: FP32 of the candidate's own run."),
    ] = None,
    rules: RulesFile = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the findings as JSON."),
        Formerly("--json"),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the findings as JUnit XML.")] = None,
    summary: Annotated[
        Path | None,
        typer.Option(help="Append them as Markdown, for example to $GITHUB_STEP_SUMMARY."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Make the candidate the new baseline.")
    ] = False,
) -> None:
    """Judge a result against FP32 of the same run, or against a baseline.

    It judges ACC, AUC, EER, VAL and AP on the same pairs or images, how INT8 was calibrated and,
    where --rules has a table [FPS], how many times as fast as FP32 it is. Exit codes: 0 passed, or
    accepted; 1 regressed; 2 a mistake, or results that cannot be compared; 3 cannot tell (0 if the
    rules have cannot_tell = "pass").
    """
    for path in filter(None, (output, junit, summary)):
        require_writable(path)
    allowed = Rules.load(rules) if rules else DEFAULT
    judged = read_result(candidate)
    if accept and baseline is None:
        raise UserError("--accept needs --baseline FILE, the result to replace")
    if accept and baseline and not baseline.exists():
        _accept(judged, baseline)
        print(f"{baseline} is the baseline now; there was none")
        return
    try:
        result = _judge(judged, baseline, allowed)
    except NotComparableError as error:
        if not accept or not baseline:
            raise
        _accept(judged, baseline)
        print(f"accepted: {baseline} is the candidate now; {error.problem}")
        return
    if output:
        content = {"verdict": result.verdict, **plain(result)}
        write_atomically(output, (json.dumps(content, indent=1) + "\n").encode())
    if junit:
        write_atomically(junit, junit_xml(result, doubt_fails=allowed.cannot_tell == "fail"))
    if summary:
        try:
            with summary.open("a", encoding="utf-8") as file:
                file.write(gate_markdown(result))
        except OSError as error:
            raise UserError(
                f"--summary {summary} cannot be written ({error.strerror})", "name another file"
            ) from error
    print(as_options(gate_table(result), _NAMES))
    if accept and baseline:
        _accept(judged, baseline)
        print(f"accepted: {baseline} is the candidate now")
    elif result.verdict == "regressed":
        raise typer.Exit(FAILED)
    elif result.verdict == "cannot tell" and allowed.cannot_tell == "fail":
        raise typer.Exit(CANNOT_TELL)


def _judge(judged: ResultFile[Result], baseline: Path | None, rules: Rules) -> GateResult:
    if baseline:
        other = read_result(baseline)
        if judged.path.samefile(baseline):
            raise _same_file(baseline)
        names = (judged.path.name, baseline.name)
        result = judge(judged.result, other.result, rules, names)
        return replace(result, notes=(*result.notes, *file_notes(judged, other)))
    return judge_against_reference(judged.result, rules)


def _accept(judged: ResultFile[Result], baseline: Path) -> None:
    """Copy the result over the baseline, the JSON last, since it holds the hash of the .npz."""
    if baseline.suffix != ".json":
        raise UserError(
            f"--baseline {baseline} must end in .json", "its scores go into a .npz beside it"
        )
    scores = judged.path.with_suffix(".npz")
    if judged.path.resolve() == baseline.resolve():
        raise _same_file(baseline)
    with locked_result(baseline), replacing(baseline) as copied:
        shutil.copyfile(judged.path, copied)
        if file_sha256(copied) != judged.sha256:
            raise UserError(f"{judged.path} changed while it was judged", "rerun the same command")
        if scores.is_file():
            with replacing(baseline.with_suffix(scores.suffix)) as temporary:
                shutil.copyfile(scores, temporary)


def _same_file(baseline: Path) -> UserError:
    return UserError(f"--baseline {baseline} is the candidate itself", "name another file")
