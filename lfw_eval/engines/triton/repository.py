"""A Triton model repository: the files from which a server deploys a model."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import np_to_triton_dtype

from calibration.quantize import QdqTypes
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.contract import TensorSpec
from lfw_eval.engines.network import network
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import write_atomically
from lfw_eval.system.locks import locked

CONFIG = "config.pbtxt"
_LABELS = "labels.txt"
# Engines whose plans Triton loads: its platform, and the file that it looks for.
_PLANS = {"tensorrt": ("tensorrt_plan", "model.plan")}
# What all versions of a model share: another one needs another name.
_SHARED = ("platform", "max_batch_size", "input", "output")


@dataclass(frozen=True)
class ServedModel:
    """A model as Triton loads it.

    Attributes:
        name: Of the folder, by which clients address the model.
        platform: In Triton's words, such as "onnxruntime_onnx" or "tensorrt_plan".
        file: Name of the file that this platform looks for.
        content: Of that file.
        inputs: With -1 for the batch as first dimension.
        outputs: The same of these.
        largest_batch: Of requests joined.
        labels: Words for the channels of the output that has as many.
    """

    name: str
    platform: str
    file: str
    content: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    largest_batch: int
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the name can be a folder's."""
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise UserError(
                f"'{self.name}' is not a name for a model", "use letters, digits, ., - and _"
            )

    def config(self) -> Any:
        """Return the configuration, Triton's `ModelConfig` message.

        Waiting requests are joined into batches; the newest version is served; instances are on
        the GPUs where there are any.
        """
        config = model_config_pb2.ModelConfig(
            name=self.name, platform=self.platform, max_batch_size=self.largest_batch
        )
        for spec in self.inputs:
            config.input.add(name=spec.name, data_type=_type(spec), dims=spec.shape[1:])
        for spec in self.outputs:
            added = config.output.add(name=spec.name, data_type=_type(spec), dims=spec.shape[1:])
            if spec.shape[1] == len(self.labels):
                added.label_filename = _LABELS
        config.version_policy.latest.num_versions = 1
        preferred = {max(1, self.largest_batch // divisor) for divisor in (4, 2, 1)}
        config.dynamic_batching.preferred_batch_size.extend(sorted(preferred))
        config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_AUTO)
        return config


def served_model(name: str, spec: EngineSpec, labels: tuple[str, ...] = ()) -> ServedModel:
    """Return a network as Triton serves it, uint8 crops being its input.

    Args:
        spec: Of an engine whose plans Triton loads: its plan is built, or loaded where it was
            before. Of any other one: an ONNX network for Triton's ONNX Runtime, with Q/DQ nodes
            for int8.

    Raises:
        UserError: It cannot be built.
    """
    largest = max(spec.request.batches)
    if spec.choice.name in _PLANS:
        platform, file = _PLANS[spec.choice.name]
        with spec.local() as engine:
            if engine.path is None:
                raise UserError(
                    f"{engine.runtime()} keeps no plan of this engine: there is nothing to export"
                )
            content, inputs, outputs = engine.path.read_bytes(), engine.inputs, engine.outputs
        return ServedModel(name, platform, file, content, inputs, outputs, largest, labels)
    if spec.request.strict_precision:
        raise UserError(
            "`strict_precision` cannot be checked: the server chooses the types of an ONNX network",
            "leave it out",
        )
    half = spec.request.precision == "fp16"
    model = network(spec.request, QdqTypes(unsigned=True), half_precision=half)
    inputs, outputs = (
        tuple(map(_spec, infos)) for infos in (model.graph.input, model.graph.output)
    )
    content = model.SerializeToString()
    return ServedModel(
        name, "onnxruntime_onnx", "model.onnx", content, inputs, outputs, largest, labels
    )


def write_models(models: Sequence[ServedModel], repository: Path) -> list[Path]:
    """Write models into a repository, each as a new version where it already exists.

    Folders appear complete or not at all, and nothing that exists is overwritten: not even the
    configuration of a model that gets a further version.

    Returns:
        The folder of each version.

    Raises:
        UserError: The repository cannot be written to, or has another model of that name.
    """
    with locked(repository / ".lock", "writing to this repository"):
        for model in models:
            _require_same(model, repository / model.name / CONFIG)
        # Within the repository, since a folder cannot be renamed from one disk to another.
        with tempfile.TemporaryDirectory(prefix=".new-", dir=repository) as temporary:
            folders = [_write_folder(model, Path(temporary) / model.name) for model in models]
            return [_publish(folder, repository / folder.name) for folder in folders]


def _write_folder(model: ServedModel, folder: Path) -> Path:
    version = folder / "1"
    version.mkdir(parents=True)
    write_atomically(version / model.file, model.content)
    if model.labels:
        write_atomically(folder / _LABELS, "".join(f"{label}\n" for label in model.labels).encode())
    write_atomically(folder / CONFIG, text_format.MessageToString(model.config()).encode())
    return folder


def _publish(folder: Path, target: Path) -> Path:
    if not target.exists():
        folder.rename(target)
        return target / "1"
    versions = [int(path.name) for path in target.iterdir() if path.name.isdecimal()]
    number = max(versions, default=0) + 1
    (folder / "1").rename(target / str(number))
    return target / str(number)


def _require_same(model: ServedModel, path: Path) -> None:
    """Check that an existing configuration is of a model with the same inputs and outputs."""
    if not path.parent.exists():
        return
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except (OSError, ValueError, text_format.ParseError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{path} cannot be read ({reason})", "repair it, or take another name"
        ) from error
    wanted = model.config()
    differing = [name for name in _SHARED if getattr(config, name) != getattr(wanted, name)]
    if differing:
        raise UserError(
            f"{path} is of a model that this one cannot be a version of: {', '.join(differing)} "
            "differ",
            "take another name, or another repository",
        )


def _spec(info: onnx.ValueInfoProto) -> TensorSpec:
    tensor = info.type.tensor_type
    sizes = (dimension.dim_value for dimension in tensor.shape.dim[1:])
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return TensorSpec(info.name, (-1, *sizes), dtype.name)


def _type(spec: TensorSpec) -> int:
    name = np_to_triton_dtype(np.dtype(spec.dtype).type)
    return int(model_config_pb2.DataType.Value(f"TYPE_{name}"))
