"""Calibration of a checkpoint on crops: the histograms and the scale table."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from calibration import RECIPE
from calibration.activations import Batch
from calibration.constants import with_initializers
from calibration.histogram import FIRST_BATCH, Histogram, load_histograms, save_histograms
from calibration.placement import layer_name
from calibration.quantize import QdqTypes, quantize, require_weights
from calibration.resemblance import require_resemblance, require_rounding_alone
from calibration.sampler import CalibrationList
from calibration.scales import ScaleTable, thresholds, with_pooled
from calibration.thresholds import Method
from lfw_eval.checkpoints import normalisation
from lfw_eval.checkpoints.checkpoint import Checkpoint, image_shape
from lfw_eval.checkpoints.normalisation import CROPS, accept_crops
from lfw_eval.engines.scales import Scales
from lfw_eval.pipelines.counting import Counting, batches, count
from lfw_eval.results.calibration import RefinementDescription
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256
from lfw_eval.system.interrupts import deferred_interrupt
from lfw_eval.system.locks import locked
from lfw_eval.system.records import DamagedError, say_remade
from lfw_eval.workers.contract import Workers
from lfw_eval.workers.in_process import HERE

_HISTOGRAMS = "histograms.npz"
_LAYERS_TRIED_ON = 4
_TABLE_TRIED_ON = 16


@dataclass(frozen=True, eq=False)
class Calibration(Scales):
    """Scales, and the images that they come from.

    Attributes:
        folder: Holds the histograms.
        refinement: How the network that the scales are of was refined; None for the checkpoint's.
    """

    crops: Callable[[], NDArray[np.uint8]]
    images: CalibrationList
    folder: Path
    refinement: RefinementDescription | None = field(default=None, kw_only=True)

    @property
    def output_folder(self) -> Path:
        """The folder of what is made with these scales, beside the network that they are of."""
        return self.network.model.parent if self.network else self.folder

    def among(self, names: Collection[str]) -> "Calibration":
        """Return the same, counting which of its images are among these evaluated ones."""
        return replace(self, images=self.images.among(names))

    def without_layers(self, model: onnx.ModelProto, layers: Collection[str]) -> "Calibration":
        """Return the same for an engine in which these output layers of the network stay float.

        What they alone read, and all that comes after them, has no scale then: TensorRT takes the
        types from that, and would clip scores at the threshold of most places, which have no face.
        """
        before: set[str] = set()
        after: set[str] = set()
        read: set[str] = set()
        for node in model.graph.node:
            if layer_name(node) in layers:
                before.update(node.input)
                after.update(node.output)
            elif after.intersection(node.input):
                after.update(node.output)
            else:
                read.update(node.input)
        dropped = (before - read) | after
        amax = {name: value for name, value in self.table.amax.items() if name not in dropped}
        table = replace(self.table, amax=amax)
        return replace(self, table=table, float_layers=tuple(layers))

    def histograms(self) -> dict[str, Histogram]:
        """Return the histogram of every observed tensor."""
        return load_histograms(self.folder / _HISTOGRAMS)[0]


def calibrate(
    checkpoint: Checkpoint,
    crops: NDArray[np.uint8],
    images: CalibrationList,
    method: Method = "entropy",
    workers: Workers = HERE,
    *,
    first_batch: int = FIRST_BATCH,
) -> Calibration:
    """Calibrate, or read the scale table where the same calibration was made before.

    The histograms are kept: another method costs no second pass. After Ctrl-C the next start
    resumes from those counted so far. One process calibrates, and others wait for it.

    Args:
        crops: uint8 (n, height, width, 3), FaceNet's 160x160, in the order of `images`.
        workers: They count; the table is the same, bit for bit.
        first_batch: Crops whose largest values set the histograms' bins, as those of the first
            batch of TensorRT's calibrator do.

    Raises:
        UserError: There are no crops, or no first batch; the crops have another size; the network
            is quantised already, has nothing to quantise, makes NaN or infinity of a crop, or is
            another network in INT8.
    """
    import onnxruntime  # takes a second, which help texts do without

    checkpoint.require_float("calibrated")
    if len(crops) == 0:
        raise UserError(
            "calibration needs at least one crop", "give images in the calibration list"
        )
    if first_batch < 1:
        raise UserError(f"`first_batch` must be at least 1, not {first_batch}")
    built_from = {
        "model": file_sha256(checkpoint.model),
        "normalisation": checkpoint.normalisation,
        "images": images.digest(),
        "crops": hashlib.sha256(np.ascontiguousarray(crops).data).hexdigest(),
        "first_batch": str(first_batch),
        "recipe": f"{RECIPE} {normalisation.RECIPE}",
        "onnxruntime": onnxruntime.__version__,
    }
    key = hashlib.sha256(json.dumps(built_from).encode()).hexdigest()[:16]
    folder = checkpoint.folder / f"calibration-{key}"
    path = folder / f"scales-{method}.json"
    about = {
        "method": method,
        "model": built_from["model"],
        "images": built_from["images"],
        "crops": len(crops),
        "first_batch": first_batch,
    }
    with suppress(DamagedError):
        if table := _read_table(path, about):
            return Calibration(table, lambda: crops, images, folder)
    with locked(folder / ".lock", "calibrating this network"):
        try:
            table = _read_table(path, about)
        except DamagedError as error:
            say_remade(path, error)
            table = None
        if table is None:
            # Crops of another shape were never calibrated on: no table can stand for them.
            model = onnx.load(checkpoint.model)
            wanted = image_shape(model)
            if crops.shape[1:] != wanted:
                raise UserError(
                    f"calibration takes crops of {_product(wanted)}, "
                    f"not {_product(crops.shape[1:])}",
                    "prepare them with lfw-eval prepare",
                )
            require_weights(with_initializers(model), checkpoint.name)
            counting = Counting(model, checkpoint.normalisation)
            saved = folder / _HISTOGRAMS
            if not saved.is_file():
                tried_on = next(batches(crops[:_LAYERS_TRIED_ON]))
                _check_layers(counting, tried_on, checkpoint.name)
            histograms = _observe(counting, crops, first_batch, saved, workers)
            table = ScaleTable(amax=thresholds(model, histograms, method), **about)
            tried_on = next(batches(crops[:_TABLE_TRIED_ON]))
            _check_table(counting, table, tried_on, checkpoint.name)
            table.save(path)
    return Calibration(table, lambda: crops, images, folder)


def _check_layers(counting: Counting, batch: Batch, name: str) -> None:
    """Run every layer in INT8 beside itself in FP32, with scales of these crops alone.

    Raises:
        UserError: One computes something else.
    """
    amax = with_pooled(counting.model, counting.observer.amax(batch))
    # Counting says which tensor is not finite.
    if np.isfinite(list(amax.values())).all():
        table = ScaleTable(amax, "minmax", model="", images="", crops=len(batch[CROPS]))
        quantized = quantize(counting.model, table, QdqTypes(unsigned=False))
        require_rounding_alone(counting.network, quantized, batch, name)


def _check_table(counting: Counting, table: ScaleTable, batch: Batch, name: str) -> None:
    """Run an embedder in INT8 beside itself in FP32; detectors have no embedding.

    Raises:
        UserError: It is another network by this table.
    """
    if len(counting.model.graph.output) == 1:
        quantized = quantize(counting.model, table, QdqTypes(unsigned=False))
        taking_crops = accept_crops(quantized, counting.normalisation)
        require_resemblance(counting.network, taking_crops, batch, name)


def _read_table(path: Path, about: Mapping[str, object]) -> ScaleTable | None:
    """Return the table that was made before, or None where there is none.

    Raises:
        DamagedError: It cannot be read, or is of another calibration.
    """
    if not path.is_file():
        return None
    try:
        table = ScaleTable.load(path)
    except UserError as error:
        reason = error.problem.removeprefix(f"{path} ")
        raise DamagedError(f"is damaged (it {reason})") from error
    if any(getattr(table, name) != value for name, value in about.items()):
        raise DamagedError("is damaged (it is of another calibration)")
    return table


def _product(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _observe(
    counting: Counting,
    crops: NDArray[np.uint8],
    first_batch: int,
    saved: Path,
    workers: Workers,
) -> dict[str, Histogram]:
    histograms, done = _counted(saved, counting, len(crops))
    if done == len(crops):
        return histograms
    if not histograms:
        histograms = counting.observer.empty_histograms(batches(crops[:first_batch]))
    bar = tqdm(total=len(crops), initial=done, desc="calibrate", unit="img", disable=None)
    counted = count(workers, counting, histograms, crops[done:])
    # A batch counted for some tensors and not for others would be counted twice after a restart.
    with bar, deferred_interrupt() as interrupted:
        for histograms, size in counted:
            done += size
            bar.update(size)
            if interrupted():
                save_histograms(saved, histograms, done)
                raise KeyboardInterrupt
    save_histograms(saved, histograms, done)
    return histograms


def _counted(saved: Path, counting: Counting, crops: int) -> tuple[dict[str, Histogram], int]:
    """Return the histograms so far, and of how many crops; none where they are damaged."""
    if not saved.is_file():
        return {}, 0
    try:
        histograms, done = load_histograms(saved)
    except ValueError as error:
        say_remade(saved, DamagedError(f"is damaged ({error})"))
        return {}, 0
    if histograms.keys() != set(counting.observed) or done > crops:
        say_remade(saved, DamagedError("is damaged (it is of another calibration)"))
        return {}, 0
    return histograms, done
