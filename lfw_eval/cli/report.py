"""The verb report: one HTML page of results side by side, or its figures as files."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lfw_eval.cli.flatten import Formerly
from lfw_eval.cli.options import RulesFile
from lfw_eval.gate.rules import DEFAULT, Rules
from lfw_eval.report.drawing import require_drawing
from lfw_eval.results.file import read_result
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable, write_atomically


def report_command(
    results: Annotated[
        list[Path], typer.Argument(help="Result files, of evaluate, benchmark and detect.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="HTML file to write, report.html by default; with --format the folder of the "
            "figures, figures by default.",
        ),
    ] = None,
    form: Annotated[
        Literal["html", "png", "svg", "pdf", "csv"],
        typer.Option("--format", help="html: the page. The others: one file per figure."),
    ] = "html",
    anonymous: Annotated[
        bool,
        typer.Option("--anonymous", help="Leave out all faces and names, for sharing."),
        Formerly("--no-faces"),
    ] = False,
    faces: Annotated[
        Path | None,
        typer.Option(help="Images that a detector was evaluated on, to draw its boxes."),
    ] = None,
    rules: RulesFile = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Their annotations. Default: those beside the images.")
    ] = None,
) -> None:
    """Write results side by side as one HTML page, or as figures.

    The page is self-contained, and judges as gate does.
    """
    path = output or Path("report.html" if form == "html" else "figures")
    if form == "html" and path.suffix.lower() not in (".html", ".htm"):
        raise UserError(
            f"--output {path} must end in .html", "for figures in a folder, give --format svg"
        )
    if form != "html" and path.is_file():
        raise UserError(
            f"--output {path} is a file", f"--format {form} takes a folder for its figures"
        )
    if anonymous and faces:
        raise UserError(
            "--faces shows faces and --anonymous leaves them out", "give one of the two"
        )
    if annotations and not faces:
        raise UserError("--annotations needs --faces", "give the images too")
    allowed = Rules.load(rules) if rules else DEFAULT
    require_writable(path if form == "html" else path / "figure")
    require_drawing()
    # The drawing libraries take a second to import; no other verb needs them.
    from lfw_eval.report.page.contents import contents_of
    from lfw_eval.report.page.detection_section import detector_reports
    from lfw_eval.report.page.faces import FaceOptions
    from lfw_eval.report.page.figure_files import write_figures
    from lfw_eval.report.page.render import render

    files = [read_result(result) for result in results]
    if faces and not detector_reports(files):
        raise UserError(
            "--faces needs a detector's result, and none of the results has one",
            "add that of lfw-eval detect",
        )
    # Figures show no faces.
    shown = not anonymous and form == "html"
    options = FaceOptions(shown, faces, annotations)
    contents = contents_of(files, options, allowed)
    for sentence in contents.missing:
        print(sentence, file=sys.stderr)
    if form == "html":
        write_atomically(path, render(contents, ["lfw-eval", *sys.argv[1:]]).encode())
        print(path)
    else:
        for written in write_figures(contents.figures, form, path):
            print(written)
