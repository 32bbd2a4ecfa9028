"""The verb export: networks and engines in the form that servers load."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lfw_eval.cli.flatten import Formerly
from lfw_eval.cli.jobs import EngineJobOptions
from lfw_eval.cli.lazy import LazyGroup, Verb
from lfw_eval.cli.options import OutputArgument, required_output
from lfw_eval.datasets.faces import open_faces
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.pipelines.detector_choice import beside
from lfw_eval.pipelines.engine_detectors import FaceDetectChoice
from lfw_eval.pipelines.job_calibration import calibrate_if_needed
from lfw_eval.system.errors import UserError

_ENGINES = ("openvino", "onnxruntime", "tensorrt")
_FACEDETECT = "facedetect"
_CLASSES = ("face",)

_VERBS = (
    Verb(
        "triton",
        "lfw_eval.cli.export:triton_command",
        "Write a Triton model repository, or a further version into one.",
        "Commands",
    ),
)


class _Verbs(LazyGroup):
    verbs = _VERBS


app = typer.Typer(cls=_Verbs, add_completion=False)


@app.callback()
def _export() -> None:
    """Export models in the form that servers load."""


def triton_command(
    options: EngineJobOptions,
    output_argument: OutputArgument = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The model repository: created, or added to."),
    ] = None,
    name: Annotated[str, typer.Option(help="What FaceNet is called there.")] = "facenet",
    with_facedetect: Annotated[
        Path | None, typer.Option(help="FaceDetect's ONNX file, to deploy as facedetect.")
    ] = None,
    faces: Annotated[
        Path | None, typer.Option(help="For its INT8, images to calibrate on.")
    ] = None,
    detector_calibration_cache: Annotated[
        Path | None,
        typer.Option(help="For its INT8, a calibration cache instead."),
        Formerly("--facedetect-cache"),
    ] = None,
) -> None:
    """Write a Triton model repository, or a further version into one.

    Models take uint8 crops, up to --batch-size in a batch. With --engine tensorrt they are plans
    for the GPU that is here, otherwise ONNX networks for Triton's ONNX Runtime, INT8 as Q/DQ nodes.
    """
    try:
        from lfw_eval.engines.triton.repository import served_model, write_models
    except (ImportError, RuntimeError) as error:
        raise UserError(
            "export triton needs a package that is missing: pip install 'lfw-eval[triton]'"
        ) from error
    repository = required_output(output, output_argument, "name the folder of the repository")
    job = options.job()
    engine = job.engine
    if engine.name not in _ENGINES:
        raise UserError(
            f"--engine {engine.label} cannot be exported", "take tensorrt, or leave it out"
        )
    if with_facedetect and name == _FACEDETECT:
        raise UserError(f"--name {name} is FaceDetect's", "give FaceNet another one")
    engine.options.check(engine.precision)
    detector = beside(job, with_facedetect, engine.precision) if with_facedetect else None
    if detector and engine.precision == "int8" and not (faces or detector_calibration_cache):
        raise UserError(
            "--with-facedetect in int8 takes --faces IMAGES to calibrate on, or "
            "--detector-calibration-cache"
        )
    models = [served_model(name, engine.spec(job.checkpoint, calibrate_if_needed(job)))]
    if detector:
        chosen = replace(
            detector,
            calibration_cache=detector_calibration_cache,
            engine=replace(detector.engine, batch_size=engine.batch_size),
        )
        spec = _facedetect(chosen, faces, options.data.verify_images)
        models.append(served_model(_FACEDETECT, spec, _CLASSES))
    for model, version in zip(models, write_models(models, repository), strict=True):
        what = f"{engine.precision.upper()}, batches up to {engine.batch_size}"
        print(f"{version / model.file}: {what}")
    print(f"serve it:   tritonserver --model-repository={repository.resolve()}")
    served = f"--engine triton://localhost/{name} --precision {engine.precision}"
    print(f"measure it: lfw-eval evaluate {served}")


def _facedetect(detector: FaceDetectChoice, faces: Path | None, verify_images: bool) -> EngineSpec:
    images = None
    # Faces that nobody calibrates on are not opened.
    if faces and detector.engine.precision == "int8" and not detector.calibration_cache:
        images = open_faces(faces, verify_images=verify_images)
    return detector.engine.spec(detector.checkpoint, detector.scales(images))
