"""The verb build: engines ahead of their first use."""

from lfw_eval.cli.jobs import JobOptions
from lfw_eval.datasets.alignment import GpuAlignment
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.report.tables.build import build_table


def build_command(options: JobOptions) -> None:
    """Build an engine ahead of its first use.

    An identical engine built earlier is reused. INT8 is calibrated on the data set. Where a GPU
    aligns photographs, what it detects faces with is built too.
    """
    job = options.job()
    job.engine.preflight(job.checkpoint)
    with job.engine.build(job.checkpoint, calibrate_if_needed(job)) as engine:
        print(build_table(engine, job.engine.precision, job.checkpoint.describe()))
    alignment = job.placed_alignment()
    if isinstance(alignment, GpuAlignment):
        # Imported here: it takes time that other machines need not spend.
        from lfw_eval.datasets.alignment.gpu_lanes import GpuLanes

        GpuLanes.open(alignment, lanes=1).close()
