"""The verb compare-layers: INT8 beside FP32 on one engine, tensor by tensor."""

import sys
from typing import Annotated

import typer

from lfw_eval.cli.jobs import JobOptions
from lfw_eval.cli.options import Output
from lfw_eval.pipelines.layer_comparison import compare_layers
from lfw_eval.report.tables.layers import layers_table
from lfw_eval.results.file import save_result
from lfw_eval.results.layers_csv import layers_csv
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable, write_atomically


def compare_layers_command(
    options: JobOptions,
    crops: Annotated[
        int, typer.Option(min=2, help="How many of the calibration images to compare on.")
    ] = 32,
    share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Find the fewest layers that give back this share of the lost cosine when they "
            "are left in floating point, by building the engine again and again; 0: do not.",
        ),
    ] = 0.5,
    output: Output = None,
) -> None:
    """Show where an engine loses accuracy in INT8: tensor by tensor beside FP32.

    Writes a result (JSON), the ranked layers (CSV) and, with the extra report, a page with the
    network's path (HTML).
    """
    if options.network.gpu.quantization == "live":
        raise UserError(
            "`quantization` live calibrates again for each engine that is built here",
            "leave it out: a calibration cache has the same scales",
        )
    job = options.job(pairs_needed=False)
    path = output or job.default_output("layers")
    if path.suffix != ".json":
        raise UserError(
            f"--output {path} must end in .json", "the layers as CSV, and the page, go beside it"
        )
    require_writable(path)
    result = compare_layers(job, crops, share)
    save_result(result, path)
    write_atomically(path.with_suffix(".csv"), layers_csv(result).encode())
    print(layers_table(result))
    print(f"result      {path}, ranked layers in {path.with_suffix('.csv').name}")
    try:
        # Only the page needs the extra report.
        from lfw_eval.report.page.layers_page import render_layers
    except ModuleNotFoundError as error:
        print(f"page        none, for {error.name} is missing: pip install 'lfw-eval[report]'")
        return
    page = path.with_suffix(".html")
    write_atomically(page, render_layers(result, ["lfw-eval", *sys.argv[1:]]).encode())
    print(f"page        {page}")
