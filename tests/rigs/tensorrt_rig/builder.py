"""Networks built by the bindings that can, and what TensorRT made of them."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
from tensorrt_rig.installation import Bindings

_SCRIPT = Path(__file__).with_name("build.py")


@dataclass(frozen=True)
class Built:
    """What came of a build; a `plan_bytes` of None means that there is no engine."""

    parsed: bool
    errors: list[str]
    messages: list[str]
    layers: dict[str, int]
    types: list[str]
    plan_bytes: int | None
    seconds: float

    def types_of(self, kind: str) -> set[str]:
        """The types of the outputs of all layers of a kind."""
        return {layer.split()[1] for layer in self.layers if layer.split()[0] == kind}


@dataclass(frozen=True)
class Builder:
    """Builds any network, without anything of the suite's."""

    bindings: Bindings

    def build(self, model: onnx.ModelProto) -> Built:
        """Parse and build a model."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(model, path)
            return Built(**json.loads(self.bindings.run(str(_SCRIPT), str(path))))
