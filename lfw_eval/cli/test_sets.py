"""The verb testsets: one table over several test sets."""

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from lfw_eval.cli.engine_options import CandidateOptions, RayOptions
from lfw_eval.cli.errors import as_options
from lfw_eval.cli.exit_codes import MISTAKE
from lfw_eval.cli.jobs import NetworkOptions
from lfw_eval.cli.options import Output, VerifyImages
from lfw_eval.datasets.dataset import Dataset
from lfw_eval.metrics.verification.flip import Flip
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.test_sets import evaluate_sets, open_sets
from lfw_eval.report.tables.test_sets import testsets_table
from lfw_eval.results.file import save_result
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable

# Characters of the sets' names in the name of the result.
_NAMES = 60


def testsets_command(
    network: NetworkOptions,
    second: CandidateOptions,
    ray: RayOptions,
    sets: Annotated[
        list[str],
        typer.Argument(
            metavar="SET...",
            help="insightface's .bin, a folder or archive of LFW's layout or with pairs.csv, the "
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
    verify_images: VerifyImages = False,
    output: Output = None,
) -> None:
    """Evaluate one engine on several test sets, in one table.

    Each set's own result goes into a folder named after the table, for gate and report. Exit
    codes: 0 success, 2 a mistake, or a failed set, which the table names.
    """
    if output and output.suffix != ".json":
        raise UserError(f"--output {output} must end in .json", "the sets' results go beside it")
    workers = ray.workers()

    def job_on(dataset: Dataset) -> Job:
        return network.job_on(dataset, second)

    open_all = partial(open_sets, verify_images=verify_images)
    opened = open_all(sets)
    calibrating = (open_all([calibrate_on])[0] if calibrate_on else opened[0]).images
    table = replace(calibrating, name="testsets")
    names = "-".join(paired.images.name for paired in opened)[:_NAMES]
    path = output or job_on(table).default_output(f"{names}-table")
    require_writable(path)
    result = evaluate_sets(opened, job_on, calibrating, flip, path.with_suffix(""), workers)
    save_result(result, path)
    print(as_options(testsets_table(result), {}))
    print(f"result      {path}, those of the sets in {path.with_suffix('')}")
    if result.failed:
        raise typer.Exit(MISTAKE)
