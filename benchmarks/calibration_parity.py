"""Compare our thresholds with those that TensorRT 8.6 wrote, from the same crops.

Usage: python benchmarks/calibration_parity.py GOLDEN LFW [--first-batch N] [--cache OUT]

GOLDEN is a folder with TensorRT's calibration cache, the list of the images that it read, their
face boxes and the FP32 embeddings of its engine; LFW the photographs. Prints, and writes to
benchmarks/results/calibration_parity.json, the distribution of ours / TensorRT's over the named
tensors, and every tensor that is more than 3 % off, with how much worse TensorRT's own threshold
is by its own criterion on our histogram. `--cache` writes our cache for the same network.

To see the same activations as TensorRT did, three things about the data have to be right:

- The network that it calibrated had every weight array of more than a thousand values rounded to
  float16. The first convolution (864 values) was not rounded.
- The crops are standardised in float64, then cast; TensorRT computed in FP32, not in TF32.
- The boxes have two decimals. Four of the 512 lie so close to half a pixel that rounding
  may go either way; the FP32 embedding says which way it went.
"""

import argparse
import csv
import itertools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from json_file import write_json
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.activations import Batch, Observer
from calibration.cache import CalibrationCache, calibration_cache
from calibration.entropy import divergences
from calibration.histogram import FIRST_BATCH, Histogram
from calibration.scales import ScaleTable, observed_tensors, thresholds
from lfw_eval.checkpoints.checkpoint import DEFAULT
from lfw_eval.checkpoints.conversion import convert
from lfw_eval.datasets.photographs import open_photographs
from lfw_eval.results.environment import environment
from lfw_eval.sources import checkpoints, locate
from lfw_eval.system.files import write_atomically

RESULT = Path(__file__).parent / "results" / "calibration_parity.json"
CACHE = "facenet_keras_trt8600_entropy2.cache"
MARGIN = 0.1
BATCH = 8
# Boxes have two decimals, so an edge is known to within (1 + 2 * MARGIN) * 0.005 pixels or so.
UNCERTAIN = 0.011
# Of the divergence: single counts that fall into a neighbouring bin move it by so much.
NEAR_TIE = 0.01


def calibrated_network() -> onnx.ModelProto:
    """The network that TensorRT saw: batch normalisation as it is, large weights rounded."""
    collection = checkpoints()
    model = convert(locate(collection.entry(DEFAULT), collection), fold=False)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.size > 1000:
            rounded = values.astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    return model


def standardised(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Per-image standardisation, (n, 160, 160, 3) to (n, 3, 160, 160)."""
    images = crops.astype(np.float64)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    std = np.maximum(images.std(axis=(1, 2, 3), keepdims=True), 1 / np.sqrt(images[0].size))
    return np.ascontiguousarray(((images - mean) / std).transpose(0, 3, 1, 2), dtype=np.float32)


class GoldenCrops:
    """The crops that TensorRT was calibrated on, as its own embeddings bear out."""

    def __init__(self, golden: Path, lfw: Path, network: onnx.ModelProto) -> None:
        names = (golden / "calibration_images.txt").read_text().split()
        with (golden / "lfw_boxes.csv").open() as file:
            rows = {row["image"]: (index, row) for index, row in enumerate(csv.DictReader(file))}
        embeddings = np.load(golden / "embeddings_trt860_fp32.npy").astype(np.float32)
        self._session = onnxruntime.InferenceSession(network.SerializeToString())
        images = dict(open_photographs(lfw).read(names))
        self.rounded_otherwise: list[str] = []
        crops = []
        for name in names:
            index, row = rows[name]
            x, y, w, h = (float(row[key]) for key in "xywh")
            edges = [x - MARGIN * w, y - MARGIN * h, x + (1 + MARGIN) * w, y + (1 + MARGIN) * h]
            options = [
                self._crop(images[name], region)
                for region in itertools.product(
                    *({round(e), round(e - UNCERTAIN), round(e + UNCERTAIN)} for e in edges)
                )
            ]
            usual = self._crop(images[name], tuple(round(edge) for edge in edges))
            crop = min(options, key=lambda option: self._distance(option, embeddings[index]))
            if not np.array_equal(crop, usual):
                self.rounded_otherwise.append(name)
            crops.append(crop)
        self.crops = np.stack(crops)

    def _distance(self, crop: NDArray[np.uint8], embedding: NDArray[np.float32]) -> float:
        (output,) = self._session.run(None, {"input": standardised(crop[None])})
        return float(np.linalg.norm(output[0] - embedding))

    @staticmethod
    def _crop(image: NDArray[np.uint8], region: tuple[int, ...]) -> NDArray[np.uint8]:
        (x0, y0, x1, y1), (height, width) = region, image.shape[:2]
        shown = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
        return np.asarray(cv2.resize(shown, (160, 160), interpolation=cv2.INTER_LINEAR), np.uint8)


def observe(
    network: onnx.ModelProto, crops: NDArray[np.uint8], first_batch: int
) -> dict[str, Histogram]:
    """Histograms of every tensor of the network, its input included."""
    exposed = onnx.ModelProto.FromString(network.SerializeToString())
    exposed.graph.node.insert(0, helper.make_node("Identity", ["images"], ["input"]))
    exposed.graph.input[0].name = "images"
    observer = Observer(exposed, observed_tensors(network))

    def batches(some: NDArray[np.uint8]) -> Iterator[Batch]:
        for start in range(0, len(some), BATCH):
            yield {"images": standardised(some[start : start + BATCH])}

    histograms = observer.empty_histograms(batches(crops[:first_batch]))
    for batch in batches(crops):
        observer.observe(batch, histograms)
    return histograms


def explain(histogram: Histogram, threshold: float) -> str:
    """Say how TensorRT's threshold fares on our histogram, by TensorRT's own criterion."""
    bins, values = divergences(histogram)
    chosen = threshold / histogram.width - 0.5
    if not bins[0] - 0.5 <= chosen <= bins[-1] + 0.5:
        return (
            f"not comparable: TensorRT's threshold is {chosen:.0f} of our bins, and candidates "
            f"are {bins[0]} to {bins[-1]}; its histogram had another range"
        )
    theirs, best = values[np.searchsorted(bins, round(chosen))], values.min()
    if not np.isfinite(theirs):
        return "different: TensorRT's choice ends in a bin that is empty in our histogram"
    excess = theirs / best - 1 if best > 0 else float(theirs > best)
    kind = "near tie" if excess < NEAR_TIE else "different"
    return f"{kind}: TensorRT's choice has {excess:.3%} more divergence on our histogram"


def parity(
    golden: Path, lfw: Path, first_batch: int = FIRST_BATCH
) -> tuple[dict[str, Any], ScaleTable]:
    """Compare with TensorRT's cache; also return our table of the same network.

    Args:
        first_batch: The batch that TensorRT's calibrator was fed, whose first one sets the bins.
    """
    network = calibrated_network()
    data = GoldenCrops(golden, lfw, network)
    histograms = observe(network, data.crops, first_batch)
    ours = thresholds(network, histograms, "entropy")
    cache = CalibrationCache.load(golden / CACHE)
    theirs = {name: scale * 127 for name, scale in cache.named.items() if name in ours}
    ratios = np.array([ours[name] / threshold for name, threshold in theirs.items()])
    distances = np.abs(ratios - 1)
    off = {
        name: {
            "ratio": round(ours[name] / threshold, 4),
            "why": explain(histograms[name], threshold),
        }
        for name, threshold in theirs.items()
        if abs(ours[name] / threshold - 1) > 0.03
    }
    content = {
        "first batch": first_batch,
        "tensors": len(ratios),
        "named tensors of the cache that the network lacks": len(cache.named) - len(theirs),
        "median ratio": float(np.median(ratios)),
        "share within 0.01 %": float((distances < 1e-4).mean()),
        "share within 0.3 %": float((distances < 0.003).mean()),
        "share within 3 %": float((distances < 0.03).mean()),
        "smallest and largest ratio": [float(ratios.min()), float(ratios.max())],
        "more than 3 % off": off,
        "boxes rounded the other way": data.rounded_otherwise,
    }
    return content, ScaleTable(ours, "entropy", "", "", len(data.crops), first_batch)


def main() -> None:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("golden", type=Path)
    parser.add_argument("lfw", type=Path, help="folder or .tgz")
    parser.add_argument("--cache", type=Path, help="write our cache there")
    parser.add_argument("--first-batch", type=int, default=FIRST_BATCH)
    options = parser.parse_args()
    content, table = parity(options.golden, options.lfw, options.first_batch)
    print(write_json(RESULT, {**content, "environment": asdict(environment())}))
    if options.cache:
        write_atomically(options.cache, calibration_cache(table, "8.6.0").encode())


if __name__ == "__main__":
    main()
