"""Refinement of a calibrated checkpoint: a network that loses less in INT8, and its scales."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from calibration.constants import with_initializers
from calibration.refinement import RECIPE
from calibration.refinement.contract import Candidate, Images
from calibration.refinement.measure import Fidelity
from calibration.refinement.pipeline import Refinement
from calibration.refinement.pipeline import refine as refine_network
from calibration.refinement.steps import STEPS
from calibration.sampler import held_out
from calibration.scales import ScaleTable
from lfw_eval.checkpoints.canonical.names import tensor_names
from lfw_eval.checkpoints.checkpoint import Checkpoint, save_model
from lfw_eval.checkpoints.refined import mark_refined, refinement_of, with_own_names
from lfw_eval.pipelines.calibration import Calibration
from lfw_eval.pipelines.network_inputs import network_inputs
from lfw_eval.results.calibration import RefinementDescription, StepDescription
from lfw_eval.results.codec import plain, typed
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256
from lfw_eval.system.locks import locked
from lfw_eval.system.records import DamagedError, read_record, say_remade, write_record

EQUALISED, REFINED = "fp32-equalised.onnx", "fp32-refined.onnx"
_HELD_OUT = 4
"""Every fourth person's crops say what a step gains; steps are fitted on the others."""
_MIN_CROPS = 8


@dataclass(frozen=True)
class _Folder:
    """Where a refinement's networks, scale table and record lie, and its steps' own records.

    Attributes:
        built_from: What the refinement depends on.
    """

    path: Path
    method: str
    built_from: Mapping[str, object]

    @staticmethod
    def of(calibration: Calibration) -> "_Folder":
        import onnxruntime  # a second, which help texts do without

        built_from = {
            "calibrated": calibration.table.digest(),
            "recipe": RECIPE,
            "steps": [(step.name, step.recipe) for step in STEPS],
            "held out": _HELD_OUT,
            "onnx": onnx.__version__,
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        }
        key = hashlib.sha256(json.dumps(built_from).encode()).hexdigest()[:8]
        method = f"{calibration.table.method}-refined"
        return _Folder(calibration.folder / f"{method}-{key}", method, built_from)

    @property
    def record(self) -> Path:
        return self.path / "refinement.json"

    @property
    def steps(self) -> Path:
        """Of the records of steps, while there are some to come."""
        return self.path / "steps"

    @property
    def table(self) -> Path:
        return self.path / f"scales-{self.method}.json"

    def read(self) -> tuple[ScaleTable, RefinementDescription] | None:
        """Return what was refined before; None where nothing was.

        Raises:
            DamagedError: A file is not what was written.
        """
        record = read_record(self.record)
        if record is None:
            return None
        try:
            for name, digest in record["networks"].items():
                if file_sha256(self.path / name) != digest:
                    raise DamagedError(f"is damaged ({name} is not what was written)")
            table = ScaleTable.load(self.table)
            described = typed(RefinementDescription, record["refinement"], "", {})
        except OSError as error:
            raise DamagedError(f"is damaged ({error.filename}: {error.strerror})") from error
        except (UserError, KeyError, ValueError) as error:
            raise DamagedError(f"is damaged ({error})") from error
        if table.digest() != record["table"]:
            raise DamagedError(f"is damaged ({self.table.name} is not what was written)")
        return table, described

    def write(self, outcome: Refinement, calibrated: ScaleTable, images: Images) -> None:
        described = RefinementDescription(
            network_sha256="",
            calibrated_sha256=calibrated.digest(),
            fitted=len(images.fitting),
            held_out=len(images.held_out),
            start=_described("calibration", outcome.start, used=True),
            steps=tuple(_described(g.step, g.after, used=not g.undone) for g in outcome.gains),
        )
        # The same tensors of both have the same names.
        equalised, _ = with_own_names(outcome.equalised.model)
        refined, names = with_own_names(outcome.refined.model)
        mark_refined(refined, described.recipe)
        networks = {EQUALISED: equalised, REFINED: refined}
        for name, model in networks.items():
            save_model(model, self.path / name)
        digests = {name: file_sha256(self.path / name) for name in networks}
        amax = {names.get(name, name): value for name, value in outcome.refined.amax.items()}
        present = tensor_names(refined.graph)
        table = replace(
            calibrated,
            amax={name: value for name, value in amax.items() if name in present},
            method=self.method,
            model=digests[REFINED],
        )
        table.save(self.table)
        content: dict[str, Any] = {
            "built_from": self.built_from,
            "networks": digests,
            "table": table.digest(),
            "refinement": plain(replace(described, network_sha256=digests[REFINED])),
        }
        write_record(self.record, content)


def refine(checkpoint: Checkpoint, calibration: Calibration) -> Calibration:
    """Refine a calibrated checkpoint for INT8, or read what was refined from the same before.

    The result's `network` runs in INT8 in the place of the checkpoint, whose FP32 stays the
    reference. Beside it lies the equalised network, which computes what the checkpoint does and is
    where training goes on from. Steps that were complete when a run was interrupted are not run
    again. One process refines, and others wait for it.

    Raises:
        UserError: The network is quantised or refined already, has several outputs, or was
            calibrated on too few crops.
    """
    checkpoint.require_float("refined")
    folder = _Folder.of(calibration)
    with suppress(DamagedError):
        if before := folder.read():
            return _refined(checkpoint, calibration, folder, *before)
    with locked(folder.path / ".lock", "refining this network"):
        try:
            before = folder.read()
        except DamagedError as error:
            say_remade(folder.record, error)
            before = None
        if before is None:
            model = onnx.load(checkpoint.model)
            images = _images(model, checkpoint, calibration)
            original = Candidate(with_initializers(model), calibration.table.amax)
            outcome = refine_network(original, images, STEPS, folder.steps)
            folder.write(outcome, calibration.table, images)
            shutil.rmtree(folder.steps, ignore_errors=True)
            before = folder.read()
            assert before
    return _refined(checkpoint, calibration, folder, *before)


def _refined(
    checkpoint: Checkpoint,
    calibration: Calibration,
    folder: _Folder,
    table: ScaleTable,
    described: RefinementDescription,
) -> Calibration:
    network = replace(checkpoint, model=folder.path / REFINED)
    return replace(
        calibration, table=table, network=network, refinement=described, recipe=described.recipe
    )


def _images(model: onnx.ModelProto, checkpoint: Checkpoint, calibration: Calibration) -> Images:
    """Return the calibration crops as the network takes them, those held out being other people's.

    Raises:
        UserError: There are too few crops, or the network was refined before or has several
            outputs.
    """
    if recipe := refinement_of(model):
        raise UserError(
            f"{checkpoint.name} was refined already, by {recipe}",
            "give the network that it was made from, or leave `refine` out",
        )
    outputs = len(model.graph.output)
    if outputs > 1:
        raise UserError(
            f"{checkpoint.name} has {outputs} outputs, and refinement goes by the embedding, the "
            "only output of a network",
            "leave `refine` out",
        )
    crops = calibration.crops()
    if len(crops) < _MIN_CROPS:
        raise UserError(
            f"refinement needs at least {_MIN_CROPS} calibration crops, not {len(crops)}",
            "give more images in the calibration list, or leave `refine` out",
        )
    inputs = network_inputs(model, checkpoint.normalisation, crops)
    apart = held_out(calibration.images.names, _HELD_OUT)
    return Images(inputs[~apart], inputs[apart])


def _described(name: str, outcome: Fidelity, *, used: bool) -> StepDescription:
    return StepDescription(name, used, outcome.cosine, outcome.minimum, outcome.sqnr)
