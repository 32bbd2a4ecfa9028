"""The verb history: metrics of all results in a folder over time."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lfw_eval.cli.errors import as_options
from lfw_eval.cli.options import RulesFile
from lfw_eval.gate.history import read_history
from lfw_eval.gate.rules import DEFAULT, Rules
from lfw_eval.report.drawing import require_drawing
from lfw_eval.report.tables.history import history_table
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable, write_atomically
from lfw_eval.system.printing import counted


def history_command(
    folder: Annotated[
        Path, typer.Argument(help="Folder of result files; subfolders are read too.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML page to write; with --format a folder."),
    ] = None,
    form: Annotated[
        Literal["html", "png", "svg", "pdf", "csv"],
        typer.Option("--format", help="html: one page. The others: one file per metric."),
    ] = "html",
    rules: RulesFile = None,
) -> None:
    """Show the metrics of all results in a folder over time.

    Each result is judged against the previous one, as gate does. Regressions leave exit code 0.
    """
    if form != "html" and output is None:
        raise UserError(f"--format {form} needs --output FOLDER, where the files go")
    if output:
        require_drawing()
        require_writable(output if form == "html" else output / "history")
    history = read_history(folder, Rules.load(rules) if rules else DEFAULT)
    for reason in history.skipped:
        print(f"lfw-eval: skipped: {as_options(reason, {})}", file=sys.stderr)
    print(history_table(history))
    if output is None:
        return
    # These need the extra report.
    from lfw_eval.report.history_chart import history_figures
    from lfw_eval.report.page.figure_files import write_figures
    from lfw_eval.report.page.render import render_history

    figures = history_figures(history)
    if form == "html":
        page = render_history(figures, ["lfw-eval", *sys.argv[1:]])
        write_atomically(output, page.encode())
        print(f"history     {output}")
    else:
        paths = write_figures(figures, form, output)
        print(f"history     {counted(len(paths), 'file')} in {output}")
