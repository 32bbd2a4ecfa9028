"""The verb benchmark: speed."""

from typing import Annotated

import typer

from lfw_eval.cli.engine_options import MAX_BATCH_SIZE
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.cli.options import Output
from lfw_eval.cli.target import require
from lfw_eval.pipelines.speed import SpeedPlan, benchmark, compare_engines
from lfw_eval.report.tables.speed import speed_table
from lfw_eval.results.file import save_result
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable


def benchmark_command(
    options: JobOptions,
    sweep: Annotated[
        str | None,
        typer.Option(help="Batch sizes to measure beside --batch-size, such as 1,8,64,256."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Also let this many threads share the engine.")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also FP32, FP16 and INT8, and ONNX Runtime on the CPU."),
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Length of each measurement.")
    ] = 10,
    tgt: Annotated[
        float | None, typer.Option(min=0, help="Exit with 1 if end-to-end FPS is below this.")
    ] = None,
    output: Output = None,
) -> None:
    """Measure FPS and latency, of the engine alone and from crops to embeddings.

    Exit codes: 0 success, 1 FPS is below --tgt, 2 a mistake.
    """
    plan = SpeedPlan(_batch_sizes(sweep), threads, seconds)
    job = options.job()
    path = output or job.default_output("performance")
    require_writable(path)
    result = compare_engines(job, plan) if compare else benchmark(job, plan)
    save_result(result, path)
    print(speed_table(result))
    print(f"result      {path}")
    require(tgt, result.judged.speeds[0].end_to_end_fps, "FPS")


def _batch_sizes(text: str | None) -> tuple[int, ...]:
    sizes = text.replace(" ", "").split(",") if text else []
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise UserError(f"--sweep {text!r} is not a list of batch sizes", "give it as 1,8,64")
    distinct = tuple(dict.fromkeys(int(size) for size in sizes))
    if any(size > MAX_BATCH_SIZE for size in distinct):
        raise UserError(f"--sweep {text} has a batch above {MAX_BATCH_SIZE:,}", "take smaller ones")
    return distinct
