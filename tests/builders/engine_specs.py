"""What engines are built from."""

from pathlib import Path

from command import REPOSITORY

from lfw_eval.engines.choice import EngineChoice, EngineSpec
from lfw_eval.engines.contract import BuildRequest

SCALES = REPOSITORY / "calibration" / "caches" / "facenet-keras" / "scales-entropy.json"
"""The committed scale table of the default checkpoint."""


def spec_of(name: str, request: BuildRequest, folder: Path) -> EngineSpec:
    """Return the specification of an engine of the request's precision."""
    return EngineSpec(EngineChoice(name, request.precision), request, folder)
