"""The verb live: faces named in real time."""

import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.cli.flatten import Formerly
from lfw_eval.cli.jobs import EngineJobOptions
from lfw_eval.engines.contract import Engine, Precision
from lfw_eval.live.crop import MARGIN, crop_for, template_for
from lfw_eval.live.detector import DETECTION_SIZE, MIN_SCORE, open_finder
from lfw_eval.live.embedder import Embedder
from lfw_eval.live.gallery_folder import GalleryFolder
from lfw_eval.live.look import Show, look
from lfw_eval.live.pipeline import overlapped
from lfw_eval.live.recognizer import Recognizer
from lfw_eval.live.record import record_file
from lfw_eval.live.screen import Screen
from lfw_eval.live.source import Source, open_source
from lfw_eval.live.stats import Tally
from lfw_eval.live.video_file import video_file
from lfw_eval.pipelines.detector_choice import DetectorName
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.side_by_side import describe_engine
from lfw_eval.report.tables.live import live_table
from lfw_eval.results.environment import environment
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import require_writable

THRESHOLD = 1.1
"""Squared L2, at which the default checkpoint accepts 98.3 % of LFW's genuine pairs and 0.27 % of
the impostors. The one that decides most of these pairs rightly, 1.22, accepts twice as many
impostors, and a stranger is compared with everybody in the gallery."""

_SCORES = ", ".join(f"{score:g} for {name}" for name, score in MIN_SCORE.items())


def live_command(
    options: EngineJobOptions,
    source: Annotated[Path | None, typer.Argument(help="Video file, or folder of images.")] = None,
    camera: Annotated[
        str | None, typer.Option(help="Camera number or address (rtsp://…), instead.")
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(
            help="Folder with an image per person, NAME.jpg, or several in a folder NAME/; "
            "watched while the command runs."
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=4, help="Squared L2 below which a face is named.")
    ] = THRESHOLD,
    detector: Annotated[DetectorName, typer.Option()] = "mtcnn",
    model: Annotated[
        Path | None, typer.Option(help="ONNX file of FaceDetect, of YuNet or of your CenterFace.")
    ] = None,
    detection_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Longest side of what MTCNN sees, side of YuNet's and CenterFace's input, in "
            "pixels. "
            f"Default: {DETECTION_SIZE}.",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help=f"Minimum score of a face. Default: {_SCORES}."),
        Formerly("--least-score"),
    ] = None,
    detector_precision: Annotated[
        Precision | None, typer.Option(help="Precision of CenterFace or FaceDetect. Default: fp16.")
    ] = None,
    detector_cache: Annotated[
        Path | None,
        typer.Option("--detector-calibration-cache", help="Its calibration cache, for int8."),
        Formerly("--detector-cache"),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.01, max=240, help="Frame rate of the source. Default: its own, or 25."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Annotated video to write, .mp4.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="JSON file to write: the faces of every frame, and stats.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show the picture in a browser on this machine.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of --show's page; 0 picks a free one.")
    ] = 8090,
) -> None:
    """Name the faces of a camera, a video or a folder of images.

    Ctrl-C ends the run with exit code 0: what was written is whole.
    """
    if gallery is None:
        raise UserError("--gallery is missing", "give a folder with an image per person")
    if not gallery.is_dir():
        raise UserError(
            f"--gallery {gallery} is not a directory",
            "give one with an image per person, each named after the person",
        )
    if output and output.suffix.lower() != ".mp4":
        raise UserError(f"--output {output} must end in .mp4, since it is an MPEG-4 video")
    if json and json.suffix.lower() != ".json":
        raise UserError(f"--json {json} must end in .json")
    for written in filter(None, (output, json)):
        require_writable(written)
    job = options.job()
    job.engine.preflight(job.checkpoint)
    with ExitStack() as stack:
        pictures = stack.enter_context(open_source(source, camera, fps))
        opened = open_finder(
            detector,
            model,
            size=detection_size,
            min_score=min_score,
            engine=job.engine,
            precision=detector_precision,
            calibration_cache=detector_cache,
            align_on=job.align_on,
        )
        finder = stack.enter_context(opened)
        engine = stack.enter_context(job.engine.build(job.checkpoint, calibrate_if_needed(job)))
        embedder = Embedder(engine, job.engine.batch_size)
        recognizer = Recognizer(finder, embedder, threshold, crop_for(job.alignment))
        watched = stack.enter_context(GalleryFolder(gallery, recognizer.embed_portrait))
        if not len(watched.people.names):
            print(f"{gallery} shows nobody yet: everyone will be unknown", file=sys.stderr)
        tally = Tally()
        shows: list[Show] = []
        if show:
            screen = stack.enter_context(Screen(port, tally.stats))
            print(f"open {screen.address} in a browser on this machine", file=sys.stderr)
            shows.append(lambda picture, _: screen.show(picture))
        if output:
            shows.append(
                stack.enter_context(video_file(output, pictures.fps, keep_time=pictures.live))
            )
        records = []
        if json:
            about = _about(job, pictures, recognizer, engine)
            records.append(stack.enter_context(record_file(json, about, tally.stats)))
        watched.watch()
        frames = overlapped(
            pictures.frames(), recognizer.steps(lambda: watched.people), lossy=pictures.live
        )
        look(frames, tally, record=records, show=shows, expected=pictures.expected)
    print(live_table(tally.stats()))
    for name, path in (("video", output), ("faces", json)):
        if path:
            print(f"{name:<26}{path}")


def _about(job: Job, pictures: Source, recognizer: Recognizer, engine: Engine) -> dict[str, object]:
    """Return the description of the run in the JSON file."""
    finder, template = recognizer.finder, template_for(job.alignment)
    return {
        "source": pictures.title,
        "fps": pictures.fps,
        "detector": {
            "name": finder.detector.name,
            "longest side": finder.longest,
            "least score": finder.min_score,
            **finder.detector.settings,
        },
        "model": asdict(job.checkpoint.describe()),
        "engine": asdict(describe_engine(engine, job.engine.precision)),
        "threshold": recognizer.threshold,
        "margin": None if template else MARGIN,
        "template": template.words if template else None,
        "environment": asdict(environment()),
    }
