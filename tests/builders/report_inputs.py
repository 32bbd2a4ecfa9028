"""Results to report."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_results import IDLE, engine, paired, windows
from face_data import jpeg

from calibration.histogram import Histogram, save_histograms
from calibration.scales import ScaleTable
from lfw_eval.datasets.crop_index import index_content
from lfw_eval.datasets.faces import open_faces
from lfw_eval.metrics.detection.boxes import Detections
from lfw_eval.metrics.detection.protocol import evaluate as evaluate_detections
from lfw_eval.metrics.verification.comparison import compare, mean_cosine
from lfw_eval.metrics.verification.protocol import evaluate
from lfw_eval.results.accuracy import AccuracyResult, DataDescription, EngineRun, PairRows
from lfw_eval.results.calibration import CalibrationDescription
from lfw_eval.results.detection import DetectionReport, FaceDataDescription
from lfw_eval.results.engine import ModelDescription
from lfw_eval.results.file import save_result
from lfw_eval.results.speed import EngineSpeed, Percentiles, Speed, SpeedResult, SpeedWindows
from lfw_eval.system.machine_load import MachineLoad
from lfw_eval.system.records import write_record

# A test module that imports this is skipped where what draws is missing.
pytest.importorskip("altair", reason="the extra report is not installed")

RUNTIME = "OpenVINO 1.2"
MODEL = ModelDescription("facenet-test", "a" * 64, "b" * 64, "fixed")


NOISE = {"fp32": 0.0, "fp16": 0.02, "int8": 0.15}


class Evaluated:
    """Made-up embeddings on pairs, and results of them."""

    def __init__(self, pairs: int = 400, crops_sha256: str = "c" * 64, images: int = 200) -> None:
        rng = np.random.default_rng(0)
        people = images // 4
        self.centres = np.repeat(rng.normal(size=(people, 16)), 4, axis=0)
        self.exact = self.centres + 0.75 * rng.normal(size=self.centres.shape)
        self.genuine = np.arange(pairs) % 2 == 0
        self.left = rng.integers(0, images, pairs)
        same = self.left // 4 * 4 + (self.left % 4 + rng.integers(1, 4, pairs)) % 4
        other = (self.left + 4 * rng.integers(1, people, pairs)) % images
        self.right = np.where(self.genuine, same, other)
        self.fold = np.arange(pairs) // 2 % 10
        self.crops_sha256 = crops_sha256
        self.images = images

    def embeddings(self, precision: str) -> np.ndarray:
        rng = np.random.default_rng(len(precision))
        return self.exact + NOISE[precision] * rng.normal(size=self.exact.shape)

    def run(self, precision: str, *, from_cache: bool = False, fps: float = 70.0) -> EngineRun:
        outcome = evaluate(
            self.embeddings(precision), self.left, self.right, self.genuine, self.fold
        )
        return EngineRun(
            engine(precision, runtime=RUNTIME), 64, fps, "2026-11-21", from_cache, outcome
        )

    def result(
        self,
        precision: str | None,
        *,
        from_cache: bool = False,
        table: str | None = None,
        in_turn: bool = True,
        load: MachineLoad = IDLE,
    ) -> AccuracyResult:
        speed = paired(70, 280, load=load) if precision and in_turn else None
        fps = (speed.reference.median, speed.candidate.median) if speed else (70.0, 280.0)
        reference = self.run("fp32", from_cache=from_cache, fps=fps[0])
        candidate = self.run(precision, fps=fps[1]) if precision else None
        calibration = None
        if precision == "int8":
            calibration = CalibrationDescription(
                images=64,
                evaluated=3,
                people=40,
                evaluated_people=5,
                origin="drawn from elsewhere",
                list_sha256="d" * 64,
                table_sha256=table or "e" * 64,
                method="entropy",
                first_batch=32,
                amax={"x": 1.0},
            )
        return AccuracyResult(
            data=DataDescription(
                "faces",
                "made-up faces",
                "",
                self.images,
                len(self.genuine),
                10,
                "1" * 64,
                "2" * 64,
                self.crops_sha256,
                "boxes",
                0,
            ),
            pairs=PairRows(self.left.astype(np.intp), self.right.astype(np.intp)),
            model=MODEL,
            candidate_model=None,
            protocol={"distance": "squared_l2", "flip": "none", "far_target": 0.001},
            reference=reference,
            candidate=candidate,
            calibration=calibration,
            comparison=compare(reference.verification, candidate.verification)
            if candidate
            else None,
            cosine=mean_cosine(self.exact, self.embeddings(precision)) if precision else None,
            speed=speed,
        )


def speeds() -> SpeedResult:
    def at_batch(batch: int, fps: float) -> Speed:
        timed = SpeedWindows(windows(fps * 1.1), windows(fps * (1 + batch / 1000)), None, IDLE)
        return Speed(
            batch,
            timed.engine.median,
            Percentiles(9, 9, 9, 9, 50),
            timed.end_to_end.median,
            Percentiles(10 * batch, 9 * batch, 11 * batch, 12 * batch, 50),
            None,
            None,
            timed,
        )

    def of_engine(precision: str, fps: float, runtime: str = RUNTIME) -> EngineSpeed:
        measured = tuple(at_batch(batch, fps) for batch in (64, 1, 8))
        return EngineSpeed("x", engine(precision, runtime=runtime), 1.0, {}, measured, 1.0)

    engines = (
        of_engine("fp32", 60, "ONNX Runtime 1"),
        of_engine("fp32", 61.0),
        of_engine("int8", 250.1),
    )
    return SpeedResult("made-up faces", MODEL, engines, 2)


def write_store(root: Path, names: list[str]) -> str:
    """Write a crop store and return its sha256."""
    folder = root / "prepared" / "faces" / "crops-1"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    np.save(folder / "crops.npy", rng.integers(0, 255, (len(names), 160, 160, 3), dtype=np.uint8))
    index = index_content({name: (name, "0", "0", "160", "160", "1") for name in names})
    (folder / "crops.csv").write_bytes(index)
    digest = hashlib.sha256((folder / "crops.npy").read_bytes()).hexdigest()
    index_sha256 = hashlib.sha256(index).hexdigest()
    about = {"alignment": "boxes", "sha256": digest, "index_sha256": index_sha256}
    write_record(folder / "store.json", about)
    return digest


def saved(folder: Path, **results: AccuracyResult | SpeedResult | DetectionReport) -> list[Path]:
    paths = []
    for name, result in results.items():
        paths.append(folder / f"{name}.json")
        save_result(result, paths[-1])
    return paths


def calibrated(roots: Path, *, study: bool) -> str:
    """Write a calibration's files and return the digest of its table."""
    tensors = [f"layer_{n}" for n in range(9)]
    rng = np.random.default_rng(2)
    histograms = {}
    for tensor in tensors:
        values = np.abs(rng.normal(size=5000)).astype(np.float32)
        histograms[tensor] = Histogram(float(values.max()))
        histograms[tensor].update(values)
    table = ScaleTable(dict.fromkeys(tensors, 2.5), "entropy", "b" * 64, "d" * 64, 64)
    folder = roots / "checkpoints" / "net-1" / "calibration-1"
    table.save(folder / "scales-entropy.json")
    save_histograms(folder / "histograms.npz", histograms, 64)
    if study:
        layers = {f"conv{n}": {"cosine": 1 - 1e-3 / (n + 1), "sqnr": None} for n in range(30)}
        content = {"key": "x", "images": 32, "network": layers["conv0"], "layers": layers}
        write_record(folder / "sensitivity-entropy.json", content)
    return table.digest()


def detected(roots: Path) -> DetectionReport:
    """A detector's report on three images that it finds two faces in, one falsely."""
    folder = roots / "images"
    folder.mkdir(exist_ok=True)
    boxes = [[5, 5, 20, 20], [30, 10, 20, 20], [10, 20, 12, 12]]
    document = {
        "images": [{"id": n, "file_name": f"img_{n}.jpg"} for n in range(3)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": box, "iscrowd": 0}
            for n, box in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "face"}],
    }
    for n in range(3):
        (folder / f"img_{n}.jpg").write_bytes(jpeg())
    (folder / "annotations.json").write_text(json.dumps(document))
    dataset = open_faces(folder, folder / "annotations.json")
    detections = [
        Detections(np.array([[5.0, 5, 25, 25]]), np.array([0.9])),
        Detections(np.array([[0.0, 0, 9, 9]]), np.array([0.95])),
        Detections(np.zeros((0, 4)), np.zeros(0)),
    ]
    truths = [image.truth for image in dataset.images]
    return DetectionReport(
        FaceDataDescription("three", 3, 3, 0, 0, 0, 0, dataset.digest),
        "yunet",
        {"input": "32x32"},
        10.0,
        "integrate",
        {"integrate": evaluate_detections(detections, truths)},
        tuple(detections),
    )
