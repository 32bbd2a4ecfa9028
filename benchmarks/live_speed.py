"""Time `lfw-eval live` on a 1080p video, with stages overlapped and one after another.

Usage: python benchmarks/live_speed.py [--photographs D] [--frames N] [--rounds N]
           [--detectors mtcnn,yunet] [--yunet ONNX] [--facedetect ONNX]
           [--engine E] [--optimization-level N] [--precisions int8,fp16]
           [--dataset D] [--boxes CSV] [--output JSON]

The video is made of the photographs (the celebrities; else a folder or .tgz in LFW's layout), four
of which move over a background at any time. Everything is run: decoding, detection, embedding,
naming, drawing, writing the video. Both ways take turns, so that a change in the machine's
clock or load affects both; the medians over the rounds are printed beside published figures of
Jetson demos of MTCNN and FaceNet, and written to benchmarks/results/live_speed.json.

`--engine tensorrt --detectors yunet` needs no OpenVINO; INT8 then needs `--boxes`, because
otherwise MTCNN aligns the photographs to calibrate on.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import onnx
from json_file import write_json
from live_video import write_video

from lfw_eval.cli.flatten import group_of
from lfw_eval.cli.jobs import JobOptions
from lfw_eval.cli.live import THRESHOLD
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.datasets.photographs import Photographs, open_photographs
from lfw_eval.engines.choice import choose_engine
from lfw_eval.engines.contract import Precision
from lfw_eval.live.detector import DETECTION_SIZE, open_finder
from lfw_eval.live.embedder import Embedder
from lfw_eval.live.finder import FaceFinder
from lfw_eval.live.frame import Image
from lfw_eval.live.gallery import EMPTY, Gallery
from lfw_eval.live.look import look
from lfw_eval.live.pipeline import overlapped, plain
from lfw_eval.live.recognizer import Recognizer
from lfw_eval.live.source import open_source
from lfw_eval.live.stats import LiveStats, Tally
from lfw_eval.live.video_file import video_file
from lfw_eval.pipelines.detector_choice import DetectorName
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.pipelines.side_by_side import describe_engine
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "live_speed.json"
JETSON = {
    "detection_ms": 60,
    "embedding_ms": 22,
    "source": "published by others of MTCNN and FaceNet on a Jetson; not measured here",
}
WARM_UP = 8  # frames; engines allocate, and prepare for batch sizes, on first sight
WAYS: dict[str, Callable[..., Any]] = {"plain loop": plain, "overlapped": overlapped}


def pictures(photographs: Photographs, count: int) -> list[tuple[str, Image]]:
    """Return person and RGB pixels of so many photographs, at equal distances."""
    names = photographs.names[:: max(1, len(photographs.names) // count)][:count]
    return [(name.rpartition("_")[0], image) for name, image in photographs.read(names)]


def enrol(recognizer: Recognizer, images: list[tuple[str, Image]]) -> Gallery:
    """Return a gallery of the first photograph of each person."""
    people = {name: recognizer.embed_portrait(image) for name, image in reversed(images)}
    embeddings = {name: embedding for name, embedding in people.items() if embedding is not None}
    return Gallery(tuple(embeddings), np.stack(list(embeddings.values()))) if embeddings else EMPTY


def of_fixed_size(model: Path, folder: Path) -> Path:
    """Copy YuNet's network with the size of its input written in: OpenCV 4 takes no other."""
    network = onnx.load(model)
    shape = network.graph.input[0].type.tensor_type.shape.dim
    for dimension, size in zip(shape, (1, 3, DETECTION_SIZE, DETECTION_SIZE), strict=True):
        dimension.dim_value = size
    onnx.save(network, folder / model.name)
    return folder / model.name


def run(way: str, path: Path, recognizer: Recognizer, gallery: Gallery, output: Path) -> LiveStats:
    """Run the whole video in one of the two ways."""
    tally = Tally()
    with (
        open_source(path, None, None) as source,
        video_file(output, source.fps, keep_time=False) as write,
    ):
        frames = WAYS[way](source.frames(), recognizer.steps(lambda: gallery))
        look(frames, tally, show=[write])
    return tally.stats()


def measure(
    options: argparse.Namespace,
    precision: Precision,
    finders: dict[str, FaceFinder],
    images: list[tuple[str, Image]],
    folder: Path,
) -> list[dict[str, Any]]:
    """Measure one precision with every detector."""
    names = ("dataset", "boxes", "engine", "optimization_level")
    values = {name: getattr(options, name) for name in names}
    job = group_of(JobOptions, {**values, "precision": precision}).job()
    rows = []
    with job.engine.build(job.checkpoint, calibrate_if_needed(job)) as engine:
        for name, finder in finders.items():
            recognizer = Recognizer(finder, Embedder(engine, job.engine.batch_size), THRESHOLD)
            gallery = enrol(recognizer, images)
            run("overlapped", folder / "warm-up.mp4", recognizer, gallery, folder / "out.mp4")
            stats: dict[str, list[LiveStats]] = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way, rounds in stats.items():
                    path = folder / "video.mp4"
                    rounds.append(run(way, path, recognizer, gallery, folder / "out.mp4"))
            fps = {way: statistics.median(s.fps for s in rounds) for way, rounds in stats.items()}
            # Times of a stage by itself: where stages overlap, they share the cores.
            alone = stats["plain loop"][0]
            row = {
                "detector": name,
                "settings": finder.detector.settings,
                "precision": precision,
                "engine": asdict(describe_engine(engine, precision)),
                "hardware": engine.hardware(),
                "faces of a frame": alone.faces / alone.frames,
                "fps": fps,
                "ratio": fps["overlapped"] / fps["plain loop"],
                "rounds": {way: [s.fps for s in rounds] for way, rounds in stats.items()},
                **{
                    f"{key}, {way}": asdict(getattr(rounds[0], key))
                    for way, rounds in stats.items()
                    for key in ("detection_ms", "embedding_ms", "embedding_ms_per_face")
                },
            }
            print(_line(row), flush=True)
            rows.append(row)
    return rows


def _line(row: dict[str, Any]) -> str:
    detection, embedding, face = (
        row[f"{key}, plain loop"]["median"]
        for key in ("detection_ms", "embedding_ms", "embedding_ms_per_face")
    )
    fps = row["fps"]
    return (
        f"{row['detector']:<12}{row['precision']:<6}{detection:>10.1f} ms{embedding:>11.1f} ms"
        f"{face:>10.1f} ms{fps['plain loop']:>12.1f}{fps['overlapped']:>12.1f}"
        f"{row['ratio']:>8.2f}  {row['engine']['arithmetic']}"
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--detectors", default="mtcnn")
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("--facedetect", type=Path)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--optimization-level", type=int)
    parser.add_argument("--precisions", default="int8,fp16")
    parser.add_argument("--dataset", default="celebrities")
    parser.add_argument("--boxes", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()

    photographs = (
        open_photographs(options.photographs)
        if options.photographs
        else open_dataset("celebrities", None).photographs
    )
    images = pictures(photographs, 80)
    order = np.random.default_rng(1).permutation(len(images))
    pasted = [(images[k][0], cv2.cvtColor(images[k][1], cv2.COLOR_RGB2BGR)) for k in order]
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        finders: dict[str, FaceFinder] = {}
        for name in cast(list[DetectorName], options.detectors.split(",")):
            model = None if name == "mtcnn" else getattr(options, name)
            if name == "yunet" and model:
                model = of_fixed_size(model, folder)
            finder = open_finder(name, model, engine=choose_engine(options.engine))
            finders[name] = stack.enter_context(finder)
        write_video(folder / "video.mp4", pasted, frames=options.frames)
        write_video(folder / "warm-up.mp4", pasted, frames=WARM_UP)
        print(
            f"{'':<18}{'detection':>13}{'embedding':>14}{'of a face':>13}{'FPS, plain':>12}"
            f"{'overlapped':>12}{'ratio':>8}"
        )
        rows = [
            row
            for precision in cast(list[Precision], options.precisions.split(","))
            for row in measure(options, precision, finders, images, folder)
        ]
    print(
        f"{'Jetson':<18}{JETSON['detection_ms']:>10} ms{'':>14}{JETSON['embedding_ms']:>10} ms  "
        f"{JETSON['source']}"
    )
    content = {
        "video": f"1920x1080, {options.frames} frames, photographs of {photographs.digest[:12]}",
        "runs": rows,
        "jetson": JETSON,
        "opencv": cv2.__version__,
        "environment": asdict(environment()),
    }
    write_json(options.output, content)


if __name__ == "__main__":
    main()
