"""The verb calibrate: scale table, calibration caches and Q/DQ networks."""

from pathlib import Path
from typing import Annotated

import onnx
import typer

from calibration.cache import header_digits
from calibration.scales import observed_tensors
from calibration.sensitivity import check_drop
from lfw_eval.cli.engine_options import CalibrationOptions, CheckpointOptions, RayOptions
from lfw_eval.cli.options import AlignmentOptions, DataOptions, TensorRTVersions
from lfw_eval.engines.choice import choose_engine
from lfw_eval.pipelines.export import export
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_job
from lfw_eval.pipelines.layer_costs import layer_costs, require_timeable
from lfw_eval.pipelines.refinement import refine
from lfw_eval.pipelines.sensitivity import SensitivityStudy
from lfw_eval.pipelines.side_by_side import describe_calibration
from lfw_eval.report.histogram_plot import require_plots, write_plots
from lfw_eval.report.tables.refinement import refinement_table
from lfw_eval.report.tables.sensitivity import mixed_table, sensitivity_table
from lfw_eval.report.tables.side_by_side import calibration_notes
from lfw_eval.system.errors import UserError


def calibrate_command(
    data: DataOptions,
    alignment: AlignmentOptions,
    checkpoint: CheckpointOptions,
    calibration: CalibrationOptions,
    ray: RayOptions,
    tensorrt: TensorRTVersions = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Measure what quantising each layer alone costs."),
    ] = False,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Write a network with the fewest layers in 16 bits whose mean cosine to FP32 is "
            "at least 1 minus this, such as 0.0005. The fewest in order of the ranking, worst "
            "first, not of all choices. Implies --sensitivity."
        ),
    ] = None,
    time_on: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="With --max-drop: openvino, onnxruntime or tensorrt, on which every layer is "
            "timed in INT8 and in 16 bits. Layers then stay in 16 bits by what they gain for the "
            "time they cost, the cheapest accuracy first.",
        ),
    ] = None,
    plot: Annotated[
        list[str] | None,
        typer.Option(
            help="Tensor whose histogram to draw; may be repeated. Needs the extra report."
        ),
    ] = None,
) -> None:
    """Write a scale table, TensorRT calibration caches and Q/DQ networks.

    Tables and caches go into the folder of calibration caches, networks beside the checkpoint.
    Without --tensorrt, caches are written for 8.6.1 and 10.3.0.
    """
    versions = tensorrt or ["8.6.1", "10.3.0"]
    for version in versions:
        header_digits(version)
    if max_drop is not None:
        check_drop(max_drop)
    timed = choose_engine(time_on) if time_on else None
    if timed:
        if max_drop is None:
            raise UserError("`time_on` is for `max_drop`", "give one, or leave it out")
        require_timeable(timed)
        timed.require_runtime()
    opened = data.open(pairs_needed=False)
    network = checkpoint.open()
    job = Job(
        dataset=opened,
        alignment=alignment.of(opened, network.crop_size()),
        checkpoint=network,
        calibration_list=calibration.calibration_list,
        method=calibration.method,
        first_batch=calibration.first_batch,
        align_on=alignment.align_on,
    )
    if plot:
        require_plots(plot, observed_tensors(onnx.load(job.checkpoint.model)))
    calibrated = calibrate_job(job, ray.workers())
    described = describe_calibration(calibrated)
    for note in calibration_notes(described, "IN THE EVALUATED PAIRS"):
        print(note)
    print(f"tensors     {len(described.amax):,}")
    plots: list[Path] = []
    if plot:
        folder = calibrated.folder / "plots"
        plots = write_plots(plot, calibrated.histograms(), calibrated.table, folder)
    if calibration.refine:
        calibrated = refine(job.checkpoint, calibrated)
        assert calibrated.refinement
        print(f"\n{refinement_table(calibrated.refinement)}\n")
    for path in (*export(job.checkpoint, calibrated, versions), *plots):
        print(path)
    if sensitivity or max_drop is not None:
        study = SensitivityStudy.of(job.checkpoint, calibrated)
        measured = study.sensitivity()
        print(f"\n{sensitivity_table(measured)}\n{study.record}")
        if max_drop is not None:
            costs = layer_costs(network, calibrated, timed) if timed else None
            order = measured.by_cost(costs.costs) if costs else list(measured.layers)
            mixed, path = study.write_mixed(order, max_drop)
            print(f"\n{mixed_table(mixed, len(measured.layers), max_drop, costs)}\n{path}")
