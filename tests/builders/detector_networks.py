"""Detectors in published layouts that propose the same boxes for every image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64


def propose(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    *,
    opset: int = 13,
    joined: bool = False,
    shift: Mapping[str, float] | None = None,
    side: int | None = SIDE,
) -> Path:
    """Write a network whose outputs are these values, (k, c) or (k,), for each image of a batch.

    Args:
        joined: Leave the batch out: (n * k, c).
        shift: By output, how far brightness from 0 to 1 moves its values.
        side: None leaves the input's size open.
    """
    image = [1, 3, side or "height", side or "width"]
    constants = {
        "kernel": np.full((1, 3, 1, 1), 1 / 3, np.float32),
        "flat": np.array([-1, 1, 1]),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["grey"]),
        helper.make_node("GlobalAveragePool", ["grey"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["brightness"]),
    ]
    infos = []
    for name, values in outputs.items():
        # Reshape 0 keeps the batch.
        shape = [-1, *values.shape[1:]] if joined else [0, *values.shape]
        constants |= {
            f"{name}_values": values.reshape(1, len(values), -1).astype(np.float32),
            f"{name}_shift": np.array((shift or {}).get(name, 0), np.float32),
            f"{name}_shape": np.array(shape),
        }
        nodes += [
            helper.make_node("Mul", ["brightness", f"{name}_shift"], [f"{name}_moved"]),
            helper.make_node("Add", [f"{name}_moved", f"{name}_values"], [f"{name}_rows"]),
            helper.make_node("Reshape", [f"{name}_rows", f"{name}_shape"], [name]),
        ]
        shape = list(values.shape) if joined else [1, *values.shape]
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        infos,
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def scrfd_outputs(
    faces: Mapping[int, tuple[int, int, list[float], float]],
    anchors: int = 2,
    landmarks: bool = True,
) -> dict[str, np.ndarray]:
    """Return SCRFD's outputs for an input of `SIDE`, in the order of insightface's files.

    Args:
        faces: By stride a row, a column, four distances in strides, and a score; the last anchor
            of that cell has them.
    """
    outputs: dict[str, np.ndarray] = {}
    for part, width in (("score", 1), ("box", 4), ("landmarks", 10)):
        for stride in (8, 16, 32):
            cells = SIDE // stride
            values = np.zeros((cells, cells, anchors, width), np.float32)
            if stride in faces and part != "landmarks":
                row, column, distances, score = faces[stride]
                values[row, column, -1] = score if part == "score" else distances
            if part != "landmarks" or landmarks:
                outputs[f"{part}_{stride}"] = values.reshape(-1, width)
    return outputs
