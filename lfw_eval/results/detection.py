"""The result of a face detector's evaluation."""

from dataclasses import dataclass, field

from lfw_eval.metrics.detection.average_precision import Definition
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.metrics.detection.protocol import DetectionResult
from lfw_eval.results.codec import UNSTORED
from lfw_eval.results.speed import Speed

INT8_SHARE = "int8_share"
"""The setting of detectors on engines: the share of the multiply-adds that is INT8."""


@dataclass(frozen=True)
class FaceDataDescription:
    """The data that was evaluated on; `faces` are those that count.

    `category` is what the annotations call them, `others` the number of boxes of other categories,
    which were left out; None in older results, and where the format has faces only.
    """

    title: str
    images: int
    faces: int
    ignored: int
    clipped: int
    outside: int
    empty: int
    digest: str
    category: str | None = None
    others: int | None = None


@dataclass(frozen=True, eq=False)
class DetectionReport:
    """The evaluation of a detector.

    Attributes:
        detector: Its name.
        settings: Everything that its detections depend on.
        fps: Images per second from decoded image to faces, one after another.
        results: By definition of AP.
        definition: The requested one.
        detections: Those of each image, in the data set's order; a file has none, since those of
            all images together are in the outcomes.
        clipped: Number of detected boxes that reached out of their image and were cut at its edge;
            None in older results, which cut none.
        speed: That of the engine, if requested.
    """

    data: FaceDataDescription
    detector: str
    settings: dict[str, str | float | int]
    fps: float
    definition: Definition
    results: dict[Definition, DetectionResult]
    detections: tuple[Detections, ...] = field(default=(), metadata=UNSTORED)
    speed: Speed | None = None
    clipped: int | None = None

    @property
    def asked(self) -> DetectionResult:
        """The result by the requested definition."""
        return self.results[self.definition]
