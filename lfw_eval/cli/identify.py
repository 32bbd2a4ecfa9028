"""The verb identify: 1:N identification."""

from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.cli.engine_options import CandidateOptions, RayOptions
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.cli.options import Output
from lfw_eval.cli.target import require
from lfw_eval.metrics.identification.enrolment import enrol_first_images, read_enrolment
from lfw_eval.pipelines.identification import Trial, identify
from lfw_eval.report.tables.identification import identification_table
from lfw_eval.results.file import save_result
from lfw_eval.results.identification import Index
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable


def identify_command(
    options: JobOptions,
    second: CandidateOptions,
    ray: RayOptions,
    gallery: Annotated[
        Path | None,
        typer.Option(
            help="Images to enrol, one name or name,identity per line. Default: the first image of "
            "everyone with at least two."
        ),
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(
            help="Probe images, in the same format. Default: all others; people with one image are "
            "non-mated."
        ),
    ] = None,
    index: Annotated[
        Index, typer.Option(help="exact: matrix products. faiss: approximate, for millions.")
    ] = "exact",
    ranks: Annotated[int, typer.Option(min=1, max=1000, help="Last rank of the CMC.")] = 20,
    tgt: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if rank-1 is below this.")
    ] = None,
    output: Output = None,
) -> None:
    """Measure 1:N identification: rank-1, CMC and TPIR at FPIR.

    FP32 beside the requested precision. Exit codes: 0 success, 1 rank-1 is below --tgt, 2 a
    mistake.
    """
    job = options.job(second, pairs_needed=False)
    path = output or job.default_output("identification")
    if path.suffix != ".json":
        raise UserError(
            f"--output {path} must end in .json", "per-probe outcomes go into a .npz beside it"
        )
    available = job.dataset.photographs.names
    if gallery and probes:
        enrolment = read_enrolment(gallery, probes, available)
    elif gallery or probes:
        raise UserError("--gallery and --probes go together", "give both lists or neither")
    else:
        enrolment = enrol_first_images(available)
    require_writable(path)
    result = identify(job, Trial(enrolment, index, ranks), ray.workers())
    save_result(result, path)
    print(identification_table(result))
    print(f"result      {path}, per-probe outcomes in {path.with_suffix('.npz').name}")
    require(tgt, result.judged.outcome.rank1.value, "rank-1")
