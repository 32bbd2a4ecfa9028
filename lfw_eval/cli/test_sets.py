"""The command lfw-eval testsets: one table over several test sets."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from lfw_eval.cli.options import CoresPerWorker, Output, RayAddress, takes_jobs, workers_at
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.test_sets import evaluate_sets, images_of, open_sets
from lfw_eval.report.tables.test_sets import testsets_table
from lfw_eval.results.file import save_result
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable
from lfw_eval.workers.ray import RayWorkers

_FAILED = 2
# Characters of sets' names in that of the result.
_NAMES = 60


@takes_jobs
def testsets_command(
    job_on: Callable[[Dataset], Job],
    sets: Annotated[
        list[str],
        typer.Argument(
            metavar="SET...",
            help="insightface's .bin, a folder or .tgz of LFW's layout or with pairs.csv, the "
            "folder of IJB-B or IJB-C, or lfw, lfw-funneled or celebrities.",
        ),
    ],
    calibrate_on: Annotated[
        str | None,
        typer.Option(help="The set that INT8 is calibrated on, for all. Default: the first."),
    ] = None,
    flip: Annotated[
        Flip | None, typer.Option(help="Embed mirror images too, and combine the two.")
    ] = None,
    output: Output = None,
    ray: RayAddress = None,
    cores_per_worker: CoresPerWorker = RayWorkers.cores,
) -> None:
    """One table over several test sets: FP32 beside the precision asked for, by one engine.

    Each set's own result lies in a folder of the table's name, for gate and report. A set that
    fails is named in the table, and the exit code is then 2.
    """
    if output and output.suffix != ".json":
        raise UserError(f"--output {output} must end in .json", "the sets' results go beside it")
    opened = open_sets(sets)
    calibrating = images_of(open_sets([calibrate_on])[0] if calibrate_on else opened[0])
    table = replace(calibrating, name="testsets")
    names = "-".join(images_of(one).name for one in opened)[:_NAMES]
    path = output or job_on(table).default_output(f"{names}-table")
    require_writable(path)
    workers = workers_at(ray, cores_per_worker)
    result = evaluate_sets(opened, job_on, calibrating, flip, path.with_suffix(""), workers)
    save_result(result, path)
    print(testsets_table(result))
    print(f"result      {path}, those of the sets in {path.with_suffix('')}")
    if result.failed:
        raise typer.Exit(_FAILED)
