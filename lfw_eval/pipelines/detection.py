"""The evaluation of a face detector on a data set of faces."""

import time
from collections.abc import Iterator
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.datasets.faces.dataset import ROUNDING
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.metrics.detection.average_precision import Definition
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.metrics.detection.protocol import evaluate
from lfw_eval.pipelines.detected import Detected
from lfw_eval.results.detection import DetectionReport, FaceDataDescription


def detect(
    detector: FaceDetector, faces: FaceDataset, definition: Definition, iou: float
) -> DetectionReport:
    """Run the detector on all images, and take AP by every definition.

    Detected boxes are cut at the image's edge, as annotated ones are; what is cached of an
    interrupted run is not cut yet. What an interrupted run finished is not done again.

    Raises:
        UserError: An image cannot be read.
    """
    with Detected.resumed(detector, faces) as detected:
        _detect_remaining(detector, faces, detected)
    detections_of = detected.detections
    uncut = [detections_of[image.name] for image in faces.images]
    cut = tuple(
        detections.within(image.width, image.height)
        for image, detections in zip(faces.images, uncut, strict=True)
    )
    truths = [image.truth for image in faces.images]
    return DetectionReport(
        data=FaceDataDescription(
            title=faces.title,
            images=len(faces),
            faces=faces.faces,
            ignored=faces.ignored,
            clipped=faces.clipped,
            outside=faces.outside,
            empty=faces.empty,
            digest=faces.digest,
            category=faces.category,
            others=faces.others if faces.category else None,
        ),
        detector=detector.name,
        settings=detector.settings,
        fps=len(faces) / detected.seconds,
        definition=definition,
        results={
            other: evaluate(cut, truths, iou=iou, definition=other)
            for other in get_args(Definition)
        },
        detections=cut,
        clipped=sum(map(_moved, uncut, cut)),
    )


def _moved(before: Detections, after: Detections) -> int:
    """Return how many boxes differ by more than rounding."""
    return int((np.abs(after.boxes - before.boxes) > ROUNDING).any(axis=1).sum())


def _detect_remaining(detector: FaceDetector, faces: FaceDataset, detected: Detected) -> None:
    """Add the detections on the images that have none yet, and the seconds that they take."""
    detections_of = detected.detections
    remaining = [image.name for image in faces.images if image.name not in detections_of]
    reading = 0.0
    names: list[str] = []

    def pixels() -> Iterator[NDArray[np.uint8]]:
        # Reading and decoding is not the detector's time.
        nonlocal reading
        images = faces.read(remaining)
        while True:
            before = time.perf_counter()
            item = next(images, None)
            reading += time.perf_counter() - before
            if item is None:
                return
            image, values = item
            names.append(image.name)
            yield values

    started = time.perf_counter()
    bar = tqdm(
        total=len(faces), initial=len(detections_of), desc="detect", unit="img", disable=None
    )
    try:
        with bar:
            for index, detections in enumerate(detector.detect(pixels())):
                detections_of[names[index]] = detections
                bar.update()
    finally:
        detected.seconds += time.perf_counter() - started - reading
