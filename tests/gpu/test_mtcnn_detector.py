"""MTCNN as a detector on a GPU, beside the one on the CPU."""

import pytest

from lfw_eval.datasets.faces import open_faces
from lfw_eval.engines.choice import choose_engine
from lfw_eval.metrics.detection.average_precision import Definition
from lfw_eval.pipelines.detection import detect
from lfw_eval.pipelines.detector_choice import choose_detector

pytestmark = pytest.mark.gpu

COCO: Definition = "coco"


def test_ap_on_wider_is_the_cpus(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("LFW_EVAL_DATASETS", str(tmp_path))
    faces = open_faces(real_data / "wider_val_120.tgz")
    engine = choose_engine("tensorrt", "fp32", batch_size=8)
    reports = []
    for options in ({}, {"engine": engine}):
        with choose_detector("mtcnn", **options).open(faces) as detector:
            reports.append(detect(detector, faces, COCO, 0.5))
    cpu, gpu = (report.asked.overall.value for report in reports)
    print(f"AP {cpu:.4f} on the CPU, {gpu:.4f} on the GPU; {reports[1].fps:.1f} images/s")
    assert gpu == pytest.approx(cpu, abs=0.003)
    assert "device" in reports[1].settings
