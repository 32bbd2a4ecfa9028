"""What each recipe makes of small fixed inputs, which no random generator draws."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
from detector_networks import propose, scrfd_outputs
from facedetect_like import facedetect_like
from facenet_pytorch_like import state_dict

import calibration
from calibration import quantize as qdq
from calibration.activations import Observer
from calibration.histogram import Histogram
from calibration.quantize import QdqTypes
from calibration.scales import ScaleTable, observed_tensors, thresholds
from calibration.thresholds import METHODS
from lfw_eval.checkpoints import (
    centerface,
    conversion,
    facedetect,
    normalisation,
    onnx_detector,
)
from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.checkpoints.fold import fold_affine
from lfw_eval.checkpoints.graph_builder import GraphBuilder
from lfw_eval.checkpoints.inception_resnet_v1 import convert_state_dict
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.datasets import photographs
from lfw_eval.datasets.alignment import (
    AlreadyAligned,
    BoxAlignment,
    FivePointAlignment,
    GivenLandmarks,
    LandmarkAlignment,
    MtcnnAlignment,
    arcface_template,
    crop,
    five_point,
    mtcnn,
)
from lfw_eval.datasets.alignment.template import ARCFACE_POINTS
from lfw_eval.datasets.celebrities import celebrity_files
from lfw_eval.datasets.photographs import FolderPhotographs
from lfw_eval.detectors import contract as detections
from lfw_eval.detectors import mtcnn_cascade
from lfw_eval.detectors.centerface import boxes_of
from lfw_eval.detectors.clustering import Clustering
from lfw_eval.detectors.dense import faces_among
from lfw_eval.detectors.gridbox import GridBox
from lfw_eval.detectors.layouts import find_layout
from lfw_eval.detectors.mtcnn_cascade import Faces
from lfw_eval.engines import network
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.onnxruntime import OnnxRuntimeEngine
from lfw_eval.engines.openvino import OpenVINOEngine
from lfw_eval.engines.store import EngineStore
from lfw_eval.engines.tensorrt import order
from lfw_eval.engines.tensorrt.capabilities import Capabilities
from lfw_eval.sources import checkpoints, datasets, fetch

SAMPLES = Path(__file__).parents[1] / "integration" / "samples"
SIDE = 32


@dataclass(frozen=True)
class Stage:
    """A step whose outputs are kept under a recipe number.

    Attributes:
        recipe: Its number.
        module: Where that stands.
        make: Returns its outputs by name; takes an empty folder.
        libraries: Whose versions change the outputs.
        tolerance: What floats may differ, relative to their size.
    """

    recipe: object
    module: str
    make: Callable[[Path], dict[str, Any]]
    libraries: dict[str, str]
    tolerance: float = 1e-6


def pattern(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth picture, uint8 (height, width, 3)."""
    i, j, c = np.ogrid[:height, :width, :3]
    return np.abs((i * (5 + seed) + j * 7 + c * 80 + seed * 31) % 510 - 255).astype(np.uint8)


def _weights(seed: int, *shape: int) -> np.ndarray:
    numbers = (np.arange(np.prod(shape)) * 7919 + seed * 101) % 251 - 125
    return (numbers.reshape(shape) / (125 * np.sqrt(np.prod(shape[1:])))).astype(np.float32)


def tiny() -> onnx.ModelProto:
    """A network of all kinds of layers that are folded or quantised."""
    graph = GraphBuilder("tiny")

    def normalize(source: str, name: str, channels: int) -> str:
        seeds = {"gamma": 1, "beta": 2, "mean": 3}
        values = {key: _weights(seed, channels) for key, seed in seeds.items()}
        variance = np.abs(_weights(4, channels)) + np.float32(0.5)
        return graph.batch_normalization(source, name, **values, variance=variance, epsilon=1e-3)

    x = graph.convolution("input", "stem", _weights(5, 8, 3, 5, 5), strides=(4, 4))
    x = graph.node("Relu", [normalize(x, "stem_bn", 8)], "stem_relu")
    x = graph.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[1, 1])
    left = graph.convolution(x, "left", _weights(6, 4, 8, 1, 1), bias=_weights(7, 4))
    right = graph.convolution(x, "right", _weights(8, 4, 8, 3, 3), same=True)
    joined = graph.node("Concat", [left, right], "joined", axis=1)
    up = graph.convolution(joined, "up", _weights(9, 8, 8, 1, 1), bias=_weights(10, 8))
    factor = graph.constant("factor", np.array(0.25, np.float32))
    x = graph.node("Add", [x, graph.node("Mul", [up, factor], "up_scaled")], "sum")
    x = graph.node("Relu", [x], "block")
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "average")], "flat")
    x = graph.node("Gemm", [x, graph.constant("kernel", _weights(11, 32, 8))], "dense", transB=1)
    x = normalize(x, "embedding", 32)
    return graph.model({"input": ["batch", 3, SIDE, SIDE]}, {x: ["batch", 32]})


def _folded() -> onnx.ModelProto:
    return fold_affine(tiny())


def _crops() -> np.ndarray:
    return np.stack([pattern(SIDE, SIDE, seed) for seed in range(8)])


def _table(model: onnx.ModelProto) -> ScaleTable:
    amax = {name: 1 + 0.25 * place for place, name in enumerate(observed_tensors(model))}
    for node in model.graph.node:
        if node.op_type == "MaxPool":
            amax[node.output[0]] = amax[node.input[0]]
    return ScaleTable(amax, "entropy", "model", "images", 8)


def _decoded(folder: Path) -> dict[str, Any]:
    return {
        path.name: photographs.decode(path.read_bytes(), path.name)
        for path in sorted(SAMPLES.iterdir())
    }


def _cropped(folder: Path) -> dict[str, Any]:
    images = [pattern(90, 80, 1), pattern(120, 100, 2), pattern(64, 64, 3)]
    names = ["inside", "border", "none"]
    rows = ["image,x,y,w,h", "inside,20.4,18,33,41.7", "border,60,50,70.5,80"]
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    faces = [
        Faces(
            np.array([[12.5, 9, 50.2, 61], [2, 2, 9, 9]], np.float32),
            np.array([0.9, 0.8], np.float32),
            np.stack([ARCFACE_POINTS * 0.5 + [6, 4], ARCFACE_POINTS / 9]).astype("f4"),
        ),
        Faces(
            np.array([[40, 30, 120, 118]], np.float32),
            np.array([0.9], np.float32),
            (ARCFACE_POINTS @ [[0.5, 0.3], [-0.3, 0.5]] + [40, 9])[None].astype("f4"),
        ),
        Faces(*(np.empty(shape, np.float32) for shape in ((0, 4), (0,), (0, 5, 2)))),
    ]
    landmarks = {"inside": faces[0].landmarks[0], "border": faces[1].landmarks[0]}
    fixed = GivenLandmarks(landmarks, "fixed ones")
    outputs = {"boxes": BoxAlignment(folder / "boxes.csv"), "landmarks": LandmarkAlignment(fixed)}
    with (
        patch.object(mtcnn, "find_faces", lambda _: faces),
        patch.object(five_point, "find_faces", lambda _: faces),
    ):
        template = arcface_template(CropSize.square(160))
        outputs |= {"mtcnn": MtcnnAlignment(), "five-point": FivePointAlignment(template)}
        aligned = {name: way.align(names, images) for name, way in outputs.items()}
    squares = [pattern(112, 112, 4), pattern(160, 160, 5), pattern(250, 250, 6)]
    aligned["already aligned"] = AlreadyAligned().align(names, squares)
    return {name: vars(faces) for name, faces in aligned.items()}


def _detected(folder: Path) -> dict[str, Any]:
    collection = checkpoints()
    for part in ("pnet", "rnet", "onet"):
        fetch(collection.entry(f"mtcnn-{part}"), collection)
    files = celebrity_files(fetch(datasets().entry("celebrities"), datasets()))
    names = sorted(files)[::40]
    images = [image for _, image in FolderPhotographs(files).read(names)]
    faces = mtcnn.find_faces(images)
    return {name: vars(detections) for name, detections in zip(names, faces, strict=True)}


def _calibrated(folder: Path) -> dict[str, Any]:
    values = np.arange(-40_000, 60_000).astype(np.float32) / np.float32(60_000)
    ramps = (np.linspace(-1, 1, count, dtype=np.float32) for count in (13, 17, 19, 23))
    bell = np.add.outer(*(np.add.outer(*pair).ravel() for pair in zip(ramps, ramps, strict=True)))
    spread, clipped = Histogram(0.3), Histogram(1.0)
    for part in (values[:10] * 0, values[:50_000] ** 3, values[50_000:] ** 3):
        spread.update(part)
    for part in (bell.ravel(), np.array([-30], np.float32)):
        clipped.update(part)
    model = _folded()
    observer = Observer(accept_crops(model, "fixed"), observed_tensors(model), 1)
    batch = {CROPS: _crops()}
    histograms = observer.empty_histograms([batch])
    observer.observe(batch, histograms)
    return {
        "histograms": {"spread": spread.counts, "clipped": clipped.counts},
        "thresholds": {
            name: np.array([method(spread), method(clipped)]) for name, method in METHODS.items()
        },
        # Those methods whose thresholds do not jump where rounding moves a single value.
        "table": {
            name: thresholds(model, histograms, name)  # type: ignore[arg-type]
            for name in ("minmax", "percentile")
        },
    }


def _quantized(folder: Path) -> dict[str, Any]:
    model = _folded()
    types = {"signed": (False, False), "unsigned": (True, False), "float weights": (False, True)}
    return {
        **{n: qdq.quantize(model, _table(model), QdqTypes(*t)) for n, t in types.items()},
        "skipping": qdq.quantize(model, _table(model), QdqTypes(False), ["left", "up"]),
    }


def _normalised(folder: Path) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for name in ("per-image", "fixed", "unit", "arcface", "none"):
        model = accept_crops(_folded(), name)
        del model.graph.output[:]
        model.graph.output.append(
            onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, None)
        )
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        outputs[name] = session.run(["input"], {CROPS: _crops()})[0]
    return {**outputs, "layer": accept_crops(_folded(), "per-image", layer_normalisation=True)}


def _request(folder: Path, precision: str) -> BuildRequest:
    onnx.save(_folded(), folder / "fp32.onnx")
    table = _table(_folded()) if precision == "int8" else None
    return BuildRequest(folder / "fp32.onnx", "fixed", precision, table)  # type: ignore[arg-type]


def _networks(folder: Path) -> dict[str, Any]:
    types = QdqTypes(unsigned=True)
    return {
        "fp32": network.network(_request(folder, "fp32"), types),
        "fp16": network.network(_request(folder, "fp16"), types, half_precision=True),
        "int8": network.network(_request(folder, "int8"), types),
        "int8 and fp16": network.network(_request(folder, "int8"), types, half_precision=True),
    }


def _converted(folder: Path) -> dict[str, Any]:
    onnx.save(tiny(), folder / "tiny.onnx")
    return {"ONNX": conversion.convert(folder / "tiny.onnx", normalisation="fixed")}


def _pytorch(folder: Path) -> dict[str, Any]:
    return {"facenet-pytorch": fold_affine(convert_state_dict(state_dict()))}


def _keras(folder: Path) -> dict[str, Any]:
    collection = checkpoints()
    return {
        "facenet-keras": conversion.convert(fetch(collection.entry("facenet-keras"), collection))
    }


def _adopted(folder: Path) -> dict[str, Any]:
    onnx.save(facedetect_like(), folder / "facedetect.onnx")
    with patch.dict("os.environ", LFW_EVAL_CHECKPOINTS=str(folder / "checkpoints")):
        opened = facedetect.open_facedetect(folder / "facedetect.onnx")
    return {"facedetect": onnx.load(opened.model)}


def _adopted_detectors(folder: Path) -> dict[str, Any]:
    path = propose(
        folder / "own.onnx", scrfd_outputs({8: (3, 2, [1, 2, 1.5, 1], 0.75)}), joined=True
    )
    with patch.dict("os.environ", LFW_EVAL_CHECKPOINTS=str(folder / "checkpoints")):
        return {"own": onnx.load(onnx_detector.open_onnx_detector(path, 64).model)}


def _adopted_centerface(folder: Path) -> dict[str, Any]:
    collection = checkpoints()
    path = fetch(collection.entry("centerface"), collection)
    with patch.dict("os.environ", LFW_EVAL_CHECKPOINTS=str(folder / "checkpoints")):
        return {"centerface": onnx.load(centerface.open_centerface(path, 64).model)}


def _decoded_proposals(folder: Path) -> dict[str, Any]:
    ramp = np.linspace(-1, 1, 2 * 2 * 4 * 4, dtype=np.float32).reshape(2, 2, 4, 4)
    boxes = boxes_of(ramp, ramp[:, ::-1] / 2)
    scores = np.abs(ramp[:, 0].reshape(2, -1))
    found = faces_among(boxes, scores, 0.1, 0.3)
    outputs: dict[str, Any] = {}
    for index, faces in enumerate(found):
        outputs |= {f"boxes {index}": faces.boxes, f"scores {index}": faces.scores}
    raw = scrfd_outputs({8: (3, 2, [1, 2, 1.5, 1], 0.75)})
    shapes = {name: values.shape for name, values in raw.items()}
    batch = {name: values[np.newaxis] for name, values in raw.items()}
    boxes, scores = find_layout(shapes, 64, 64).proposals(batch, 64, 64)
    return outputs | {"SCRFD's boxes": boxes, "SCRFD's scores": scores}


def _ordered(folder: Path) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for version, precision, quantization in (
        ("8.6.1", "int8", "cache"), ("10.3.0", "int8", "qdq"), ("11.0.0", "fp16", None),
    ):  # fmt: skip
        store = EngineStore(folder, {})
        request = _request(folder, precision)
        build_order = order.make_order(
            request,
            quantization,
            Capabilities.of(version),
            store,
            "GPU",
            folder,  # type: ignore[arg-type]
        )
        # A title says what is built, not how.
        said = {
            key: value
            for key, value in vars(build_order).items()
            if key != "title" and str(folder) not in str(value)
        }
        outputs[version] = {
            "order": repr(sorted(said.items())),
            "options": repr(sorted(order.options_of(request, quantization).items())),  # type: ignore[arg-type]
            "network": onnx.load(build_order.network),
        }
    return outputs


def _clustered(folder: Path) -> dict[str, Any]:
    grid = GridBox()
    coverage = np.zeros((1, 1, grid.rows, grid.columns), np.float32)
    boxes = np.zeros((1, 4, grid.rows, grid.columns), np.float32)
    for row, column, side in ((3, 4, 1.5), (3, 5, 1.6), (4, 5, 2.0), (15, 30, 0.9), (25, 45, 1.0)):
        coverage[0, 0, row, column] = 0.25 * side
        boxes[0, :, row, column] = side * np.array([1, 1.25, 0.75, 1])
    candidates = grid.decode(coverage, boxes, 0.2)
    ways = {
        "default": Clustering(),
        "hybrid": Clustering("hybrid", min_boxes=1, confidence="maximum"),
        "NMS": Clustering("nms"),
        "coverage": Clustering(eps=0.3, min_boxes=0.2, core="coverage", confidence="mean"),
    }
    return {
        "candidates": vars(candidates[0]),
        **{name: vars(way.apply(candidates)[0]) for name, way in ways.items()},
    }


def _embedded(folder: Path) -> dict[str, Any]:
    outputs = {}
    for engine in (OnnxRuntimeEngine, OpenVINOEngine):
        with engine.build(_request(folder, "fp32"), folder / "engines") as built:
            outputs[built.runtime().rpartition(" ")[0]] = built.run({CROPS: _crops()})[
                built.outputs[0].name
            ]
    return outputs


_CV2 = {"OpenCV": cv2.__version__}
_ONNX = {"ONNX": onnx.__version__}
_ORT = {"ONNX Runtime": onnxruntime.__version__}
_OPENVINO = {"OpenVINO": openvino.get_version().partition("-")[0]}

STAGES = {
    "decoding": Stage(photographs.RECIPE, "lfw_eval/datasets/photographs.py", _decoded, _CV2),
    "crops": Stage(crop.RECIPE, "lfw_eval/datasets/alignment/crop.py", _cropped, _CV2),
    "MTCNN's faces": Stage(
        mtcnn_cascade.RECIPE, "lfw_eval/detectors/mtcnn_cascade.py", _detected,
        {**_CV2, **_OPENVINO}, 1e-4,
    ),
    "detections": Stage(detections.RECIPE, "lfw_eval/detectors/contract.py", _clustered, {}, 1e-5),
    "proposals": Stage(
        detections.RECIPE, "lfw_eval/detectors/contract.py", _decoded_proposals, {}, 1e-5,
    ),
    "scale tables": Stage(calibration.RECIPE, "calibration/__init__.py", _calibrated, _ORT, 1e-5),
    "Q/DQ networks": Stage(qdq.RECIPE, "calibration/quantize.py", _quantized, _ONNX),
    "normalisation": Stage(
        normalisation.RECIPE, "lfw_eval/checkpoints/normalisation.py", _normalised,
        {**_ONNX, **_ORT},
    ),
    "built networks": Stage(
        network.RECIPE, "lfw_eval/engines/network.py (`network`)", _networks, _ONNX,
    ),
    "conversion": Stage(conversion.RECIPE, "lfw_eval/checkpoints/conversion.py", _converted, _ONNX),
    "conversion of PyTorch": Stage(
        conversion.RECIPE, "lfw_eval/checkpoints/conversion.py", _pytorch, _ONNX,
    ),
    "conversion of Keras": Stage(
        conversion.RECIPE, "lfw_eval/checkpoints/conversion.py", _keras, _ONNX,
    ),
    "FaceDetect's network": Stage(
        facedetect.RECIPE, "lfw_eval/checkpoints/facedetect.py", _adopted, _ONNX,
    ),
    "ONNX detectors": Stage(
        onnx_detector.RECIPE, "lfw_eval/checkpoints/onnx_detector.py", _adopted_detectors, _ONNX,
    ),
    "CenterFace's network": Stage(
        centerface.RECIPE, "lfw_eval/checkpoints/centerface.py", _adopted_centerface, _ONNX,
    ),
    "TensorRT's orders": Stage(
        order.RECIPE, "lfw_eval/engines/tensorrt/order.py", _ordered, _ONNX,
    ),
    "embeddings": Stage(
        network.RECIPE, "lfw_eval/engines/network.py (`network`)", _embedded,
        {**_ONNX, **_ORT, **_OPENVINO}, 1e-4,
    ),
}  # fmt: skip
