"""The command lfw-eval: its verbs by what they are for; nothing is computed here."""

from collections.abc import Sequence
from typing import Annotated

import typer

from lfw_eval.cli.exit_codes import OK
from lfw_eval.cli.lazy import LazyGroup, Verb

_EVALUATE, _CALIBRATE, _JUDGE = "Evaluate", "Calibrate", "Gate and report"
_SCALE, _PREPARE = "Scale and serve", "Prepare"

EXIT_CODES = (
    "Exit codes: 0 success; 1 judged and failed (a target missed, a regression, a difference "
    "beyond its limit); 2 a mistake, or data that cannot be used; 3 cannot tell; 70 a bug in "
    "lfw-eval; 130 interrupted."
)

VERBS = (
    Verb(
        "evaluate",
        "lfw_eval.cli.evaluate:evaluate_command",
        "Measure verification accuracy: FP32 beside the requested precision.",
        _EVALUATE,
    ),
    Verb(
        "benchmark",
        "lfw_eval.cli.benchmark:benchmark_command",
        "Measure FPS and latency, of the engine alone and from crops to embeddings.",
        _EVALUATE,
    ),
    Verb(
        "testsets",
        "lfw_eval.cli.test_sets:testsets_command",
        "Evaluate one engine on several test sets, in one table.",
        _EVALUATE,
    ),
    Verb(
        "identify",
        "lfw_eval.cli.identify:identify_command",
        "Measure 1:N identification: rank-1, CMC and TPIR at FPIR.",
        _EVALUATE,
    ),
    Verb(
        "detect",
        "lfw_eval.cli.detect:detect_command",
        "Measure a face detector's mAP: CenterFace, FaceDetect, YuNet, MTCNN or an ONNX file.",
        _EVALUATE,
    ),
    Verb(
        "calibrate",
        "lfw_eval.cli.calibrate:calibrate_command",
        "Write a scale table, TensorRT calibration caches and Q/DQ networks.",
        _CALIBRATE,
    ),
    Verb(
        "cache",
        "lfw_eval.cli.cache:app",
        "Inspect, compare and convert TensorRT calibration caches.",
        _CALIBRATE,
    ),
    Verb(
        "compare-layers",
        "lfw_eval.cli.compare_layers:compare_layers_command",
        "Show where an engine loses accuracy in INT8: tensor by tensor beside FP32.",
        _CALIBRATE,
    ),
    Verb(
        "gate",
        "lfw_eval.cli.gate:gate_command",
        "Judge a result against FP32 of the same run, or against a baseline.",
        _JUDGE,
    ),
    Verb(
        "report",
        "lfw_eval.cli.report:report_command",
        "Write results side by side as one HTML page, or as figures.",
        _JUDGE,
    ),
    Verb(
        "history",
        "lfw_eval.cli.history:history_command",
        "Show the metrics of all results in a folder over time.",
        _JUDGE,
    ),
    Verb(
        "embed",
        "lfw_eval.cli.embed:embed_command",
        "Align and embed any number of images.",
        _SCALE,
    ),
    Verb(
        "score",
        "lfw_eval.cli.score:score_command",
        "Score any number of pairs of embedded images, without folds.",
        _SCALE,
    ),
    Verb(
        "export",
        "lfw_eval.cli.export:app",
        "Export models in the form that servers load.",
        _SCALE,
    ),
    Verb(
        "live",
        "lfw_eval.cli.live:live_command",
        "Name the faces of a camera, a video or a folder of images.",
        _SCALE,
    ),
    Verb(
        "prepare",
        "lfw_eval.cli.prepare:prepare_command",
        "Align a data set, or write face annotations as COCO JSON.",
        _PREPARE,
    ),
    Verb(
        "inspect",
        "lfw_eval.cli.inspect:inspect_command",
        "Show what a network is, and which normalisation it wants.",
        _PREPARE,
    ),
    Verb(
        "convert",
        "lfw_eval.cli.convert:convert_command",
        "Convert a checkpoint to ONNX, without TensorFlow or PyTorch.",
        _PREPARE,
    ),
    Verb(
        "build",
        "lfw_eval.cli.build:build_command",
        "Build an engine ahead of its first use.",
        _PREPARE,
    ),
    Verb(
        "doctor",
        "lfw_eval.cli.doctor:doctor_command",
        "Show what this machine has: runtimes, GPUs, data and checkpoints.",
        _PREPARE,
    ),
)


class _Verbs(LazyGroup):
    verbs = VERBS


app = typer.Typer(cls=_Verbs, add_completion=False, name="lfw-eval", epilog=EXIT_CODES)


def _version(asked: bool) -> None:
    if asked:
        from lfw_eval import __version__

        print(f"lfw-eval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """LFW accuracy, speed and INT8 calibration of FaceNet engines, FP32 beside INT8."""


def call(arguments: Sequence[str]) -> int:
    """Run the verb that the arguments name, and return its exit code.

    Raises:
        Exception: Whatever the verb raises, and Click's own where the arguments are wrong.
    """
    command = typer.main.get_command(app)
    try:
        with command.make_context("lfw-eval", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as leaving:
        return leaving.exit_code
    return OK
