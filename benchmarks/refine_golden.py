"""FaceNet's figures on a genuine TensorRT 8.6 that calibrated by itself, from its embeddings."""

import csv
from pathlib import Path

import numpy as np
from refine_figures import Row, figures

from calibration.sampler import CalibrationList, read_list
from lfw_eval.datasets.pairs import Pairs


def golden_figures(folder: Path, evaluated: Pairs, pairs: Pairs) -> Row:
    """Return the figures of its INT8 beside its FP32, and how many evaluated people it saw.

    Args:
        folder: The boxes, whose order the embeddings have, embeddings and calibration images.
        evaluated: Pairs of people who were not calibrated on by others.
        pairs: All pairs.
    """
    with (folder / "lfw_boxes.csv").open(encoding="utf-8") as file:
        names = [row["image"] for row in csv.DictReader(file)]
    fp32, int8 = (
        np.load(folder / f"embeddings_trt860_{kind}.npy").astype(np.float32)
        for kind in ("fp32", "int8")
    )
    images = CalibrationList(read_list(folder / "calibration_images.txt"), "golden")
    seen = images.among(evaluated.names)
    calibration = {
        "crops": len(seen.names),
        "people": seen.people,
        "evaluated crops": seen.evaluated,
        "evaluated people": seen.evaluated_people,
    }
    row = figures(fp32, int8, names, evaluated, pairs)
    return {"calibration": calibration, "engine": "TensorRT 8.6.0 on an H200", **row}
