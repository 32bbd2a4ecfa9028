"""A network of FaceDetect's signature, and pictures that it finds faces in."""

import json

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lfw_eval.detectors.gridbox import GridBox

GRID = GridBox()


RANGE = 32  # of a distance, in units of the grid's scale


IMAGES = 6


def facedetect_like(outputs=("coverage", "boxes"), columns=46) -> onnx.ModelProto:
    """A network of FaceDetect's signature that reads the grid's values from pixels.

    The first pixels of each cell hold the coverage, and each distance as a high and a low byte.
    """
    coverage = np.zeros((1, 3, 16, 16), np.float32)
    coverage[0, 0, 0, 0] = 1
    boxes = np.zeros((4, 3, 16, 16), np.float32)
    for channel in range(4):
        boxes[channel, 0, 0, 1 + 2 * channel] = 255 * 256 / 65535 * RANGE
        boxes[channel, 0, 0, 2 + 2 * channel] = 255 / 65535 * RANGE
    nodes = [
        helper.make_node("Conv", ["input_1", name], [name[:-7]], name=name, strides=[16, 16])
        for name in ("coverage.kernel", "boxes.kernel")
    ]
    shapes = {"coverage": [1, 1, 26, columns], "boxes": [1, 4, 26, columns]}
    graph = helper.make_graph(
        nodes,
        "facedetect",
        [helper.make_tensor_value_info("input_1", TensorProto.FLOAT, [1, 3, 416, columns * 16])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes[n]) for n in outputs],
        [
            numpy_helper.from_array(coverage, "coverage.kernel"),
            numpy_helper.from_array(boxes, "boxes.kernel"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def picture_of(coverage: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Write the grid's values into pixels, uint8 (416, 736)."""
    pixels = np.zeros((416, 736), np.uint8)
    pixels[::16, ::16] = np.round(coverage[0] * 255)
    words = np.round(np.clip(boxes / RANGE, 0, 1) * 65535).astype(int)
    for channel in range(4):
        pixels[::16, 1 + 2 * channel :: 16] = words[channel] >> 8
        pixels[::16, 2 + 2 * channel :: 16] = words[channel] & 255
    return pixels


def write_faces(folder, noise: float = 0.0):
    """Images whose pixels hold their own faces, with noise of so many pixels, as COCO."""
    rng = np.random.default_rng(4)
    images, annotations = [], []
    for index in range(IMAGES):
        columns, rows = np.meshgrid(np.arange(4), np.arange(3))
        corner = np.stack([columns, rows], axis=-1).reshape(-1, 2) * [180, 135] + 10
        corner = corner + rng.uniform(0, 20, corner.shape)
        truth = np.hstack([corner, corner + rng.uniform(50, 110, corner.shape)])
        coverage, boxes = GRID.encode([truth])
        boxes[0] += rng.normal(0, noise / GRID.scale, boxes[0].shape)
        name = f"{index}.png"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture_of(coverage[0], boxes[0]))
        images.append({"id": index, "file_name": name, "width": 736, "height": 416})
        annotations += [
            {
                "id": len(annotations) + k,
                "image_id": index,
                "category_id": 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            for k, (x1, y1, x2, y2) in enumerate(truth.tolist())
        ]
    content = {
        "categories": [{"id": 1, "name": "face"}],
        "images": images,
        "annotations": annotations,
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder
