"""The options that several verbs of the command share."""

from pathlib import Path
from typing import Annotated

import typer

from calibration.thresholds import Method
from lfw_eval.checkpoints.normalisation import Normalisation
from lfw_eval.engines.contract import Precision

Dataset = Annotated[
    str | None,
    typer.Option(
        help="Folder or .tgz with Name/Name_0001.jpg, or lfw, lfw-funneled or celebrities. "
        "Default: LFW, and the celebrities where LFW cannot be had."
    ),
]
PairList = Annotated[
    Path | None, typer.Option("--pairs", help="Pair list in LFW's format. Default: LFW's view 2.")
]
Boxes = Annotated[
    Path | None,
    typer.Option(help="CSV image,x,y,w,h of faces to crop, grown by 10 %, instead of MTCNN."),
]
Margin = Annotated[int, typer.Option(min=0, help="MTCNN's margin, in pixels of the photograph.")]
CheckpointName = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        help="Keras .h5, facenet-pytorch .pt or .onnx, or a name in checkpoints/manifest.toml.",
    ),
]
CropNormalisation = Annotated[
    Normalisation | None,
    typer.Option(help="What the checkpoint was trained on. Default: what it says itself."),
]
EngineName = Annotated[
    str, typer.Option("--engine", help="openvino, onnxruntime (FP32 only) or dummy.")
]
EnginePrecision = Annotated[Precision, typer.Option("--precision")]
BatchSize = Annotated[int, typer.Option("--bs", min=1, help="Batch size.")]
CalibrationImages = Annotated[
    Path | None,
    typer.Option(
        "--calibration-list",
        help="Image names to calibrate on, one per line. Default: images outside of the pairs.",
    ),
]
CalibrationMethod = Annotated[
    Method, typer.Option(help="How to clip; entropy is what IInt8EntropyCalibrator2 does.")
]
Output = Annotated[Path | None, typer.Option(help="Result file. Default: one in results/.")]
