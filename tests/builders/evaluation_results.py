"""Results as an evaluation makes them, of embeddings that are drawn here."""

from dataclasses import replace

import numpy as np

from lfw_eval.metrics.detection.boxes import Detections, FaceTruth
from lfw_eval.metrics.detection.protocol import evaluate as evaluate_detections
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.protocol import evaluate
from lfw_eval.results.accuracy import AccuracyResult, DataDescription, EngineRun, PairRows
from lfw_eval.results.calibration import (
    CalibrationDescription,
    RefinementDescription,
    StepDescription,
)
from lfw_eval.results.detection import DetectionReport, FaceDataDescription
from lfw_eval.results.engine import EngineDescription, ModelDescription
from lfw_eval.results.speed import (
    EngineSpeed,
    FpsWindows,
    PairedSpeed,
    Percentiles,
    Speed,
    SpeedResult,
    SpeedWindows,
)
from lfw_eval.system.machine_load import MachineLoad

FOLDS = 10
REFINEMENT = RefinementDescription(
    network_sha256="a" * 64,
    calibrated_sha256="b" * 64,
    fitted=384,
    held_out=128,
    start=StepDescription("calibration", True, 0.98959, 0.9605, 17.0),
    steps=(
        StepDescription("equalisation", True, 0.99727, 0.99164, 22.5),
        StepDescription("bias correction", False, 0.99701, 0.99, 22.1),
        StepDescription("scale search", True, 0.99912, 0.99604, 27.4),
    ),
)
IDLE = MachineLoad(cores=2, own=1.9, others=0.02, load_average=2.0)
BUSY = MachineLoad(cores=2, own=0.9, others=1.1, load_average=4.0)


def windows(fps: float, spread: float = 0.01) -> FpsWindows:
    """Ten windows around an FPS, which is their median."""
    steps = np.linspace(-1, 1, 10)
    return FpsWindows.of(tuple(float(fps * (1 + spread * step)) for step in steps))


def paired(
    reference: float = 75, candidate: float = 300, spread: float = 0.01, load: MachineLoad = IDLE
) -> PairedSpeed:
    """Ten pairs of windows; `spread` is that of their ratios."""
    return PairedSpeed.of(64, windows(reference, 0), windows(candidate, spread), load)


def engine(precision: str, device: str = "CPU", runtime: str = "OpenVINO 1") -> EngineDescription:
    key = f"{runtime} {precision}"
    return EngineDescription(precision, precision, runtime, device, key, 10**6)


def accuracy_result(
    pairs: int = 1200, noise: float = 0.02, spoilt: float = 0.02, seed: int = 0, fps: float = 300
) -> AccuracyResult:
    """People in a space of 16 dimensions; each engine adds noise, INT8 the share `spoilt`."""
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(pairs, 16))
    left = people + rng.normal(0, 0.45, people.shape)
    genuine = np.arange(pairs) % 2 == 0
    others = np.where(genuine[:, None], people, rng.permutation(people))
    right = others + rng.normal(0, 0.45, people.shape)
    images = np.concatenate([left, right])
    rows = np.arange(pairs)
    fold = rows * FOLDS // pairs

    def run(precision: str, amount: float) -> tuple[EngineRun, np.ndarray]:
        embeddings = images + rng.normal(0, amount, images.shape)
        outcome = evaluate(embeddings, rows, rows + pairs, genuine, fold)
        speed = fps if precision == "int8" else fps / 4
        return EngineRun(engine(precision), 64, speed, "2026-01-01", False, outcome), embeddings

    (reference, fp32), (candidate, int8) = run("fp32", noise), run("int8", spoilt)
    speed = paired(fps / 4, fps)
    reference = replace(reference, fps=speed.reference.median)
    candidate = replace(candidate, fps=speed.candidate.median)
    return AccuracyResult(
        data=DataDescription(
            name="made",
            title="made pairs",
            caution="",
            images=2 * pairs,
            pairs=pairs,
            folds=FOLDS,
            photographs_digest="photographs",
            pairs_digest=f"pairs-{pairs}-{seed}",
            crops_sha256="crops",
            alignment="drawn",
            undetected=0,
        ),
        pairs=PairRows(rows, rows + pairs),
        model=ModelDescription("made", "source", "onnx", "per-image"),
        candidate_model=None,
        protocol={"distance": "squared_l2", "far_target": 1e-3},
        reference=reference,
        candidate=candidate,
        calibration=CalibrationDescription(
            images=512,
            evaluated=0,
            people=400,
            evaluated_people=0,
            origin="drawn",
            list_sha256="list",
            table_sha256="table",
            method="entropy",
            first_batch=64,
            amax={"input": 2.0, "stem": 4.0},
        ),
        comparison=compare(reference.verification, candidate.verification),
        cosine=mean_cosine(fp32, int8),
        speed=speed,
    )


def with_scales(result: AccuracyResult, factor: float) -> AccuracyResult:
    """The same, its first threshold multiplied."""
    assert result.calibration
    amax = {**result.calibration.amax, "input": 2.0 * factor}
    return replace(result, calibration=replace(result.calibration, amax=amax))


def detection_report(noise: float, images: int = 200, seed: int = 0) -> DetectionReport:
    """Three faces an image, each found `noise` pixels off, and one false alarm of low score."""
    rng = np.random.default_rng(seed)
    detections, truths = [], []
    for _ in range(images):
        corner = np.array([[10, 10], [110, 10], [10, 110]], dtype=float)
        truth = np.hstack([corner, corner + 60])
        moved = truth + np.tile(rng.normal(0, noise, (3, 2)), 2)
        boxes = np.vstack([moved, [[120, 120, 150, 150]]])
        scores = np.append(rng.uniform(0.5, 1, 3), rng.uniform(0, 0.6))
        detections.append(Detections(boxes, scores))
        truths.append(FaceTruth(truth, np.zeros(3, bool), {}))
    result = evaluate_detections(detections, truths)
    return DetectionReport(
        data=FaceDataDescription("made images", images, 3 * images, 0, 0, 0, 0, f"made-{images}"),
        detector="made",
        settings={"arithmetic": "float32"},
        fps=100,
        definition="integrate",
        results={"integrate": result},
        detections=tuple(detections),
        clipped=0,
    )


def speed(batch: int, fps: float, load: MachineLoad = IDLE) -> Speed:
    """Of any engine; the latencies are of no matter."""
    times = Percentiles(1.0, 1.0, 1.1, 1.2, 100)
    timed = SpeedWindows(windows(1.1 * fps), windows(fps), None, load)
    return Speed(
        batch, timed.engine.median, times, timed.end_to_end.median, times, None, None, timed
    )


def speed_result(
    fps: float, device: str = "CPU", fp32: float | None = 25, load: MachineLoad = IDLE
) -> SpeedResult:
    """Of INT8 with batches of 1 and 64; FP32 was measured in turn with it unless that is None."""

    def measured(precision: str, fps: float) -> EngineSpeed:
        speeds = tuple(speed(batch, fps * batch**0.5, load) for batch in (1, 64))
        return EngineSpeed("openvino", engine(precision, device), 1.0, {}, speeds, None)

    engines = [measured("fp32", fp32)] if fp32 else []
    engines.append(measured("int8", fps))
    model = ModelDescription("made", "s", "o", "per-image")
    return SpeedResult("made", model, tuple(engines), len(engines) - 1)
