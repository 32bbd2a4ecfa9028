"""A detector on one of the suite's engines, and where its INT8 scales come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.quantize import output_layers
from calibration.sampler import choose_images
from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.datasets.faces import FaceDataset
from lfw_eval.datasets.faces.image_files import open_images
from lfw_eval.detectors.contract import FaceDetector
from lfw_eval.detectors.engine_detector import EngineDetector
from lfw_eval.detectors.fitting import Fit
from lfw_eval.engines.cached_scales import read_cached_scales
from lfw_eval.engines.choice import EngineChoice, choose_engine
from lfw_eval.engines.contract import Engine
from lfw_eval.engines.scales import Scales
from lfw_eval.pipelines.calibration import Calibration, calibrate
from lfw_eval.system.errors import UserError
from lfw_eval.system.files import file_sha256

ENGINE = choose_engine("openvino", "fp32", batch_size=8)


@dataclass(frozen=True)
class EngineDetectorChoice(ABC):
    """A detector on one of the suite's engines.

    Attributes:
        model: Its ONNX file.
        calibration_images: For INT8, a folder or archive of images to calibrate on; None takes
            those of the data set.
        calibration_list: For INT8, names of images; None draws.
        calibration_cache: For INT8, a cache such as NVIDIA ships, instead of calibrating.
    """

    kind: ClassVar[type[EngineDetector]]

    model: Path | None = None
    fit: Fit = "stretch"
    engine: EngineChoice = ENGINE
    calibration_images: Path | None = None
    calibration_list: Path | None = None
    calibration_cache: Path | None = None

    @cached_property
    @abstractmethod
    def checkpoint(self) -> Checkpoint:
        """Open the network.

        Raises:
            UserError: There is none, or the file is not such a network.
        """

    @abstractmethod
    def detector(self, engine: Engine) -> EngineDetector:
        """Return the detector on its engine."""

    def open(self, faces: FaceDataset | None = None) -> FaceDetector:
        """Build the engine, calibrated on images of the data set for INT8.

        Args:
            faces: Not needed where the scales are in a calibration cache.

        Raises:
            UserError: For any mistake in the options.
        """
        self._check()
        scales = self.scales(faces)
        detector = self.detector(self.engine.build(self.checkpoint, scales))
        detector.settings |= {
            "precision": self.engine.precision,
            "model": self.checkpoint.source_sha256,
            **(self._describe(scales) if scales else {}),
        }
        return detector

    def _check(self) -> None:
        """Refuse what does not go together, before anything long begins."""
        if self.engine.name == "dummy":
            raise UserError(
                "`engine` dummy finds no faces",
                "take openvino, onnxruntime or tensorrt, or another `detector`",
            )
        sources = ("calibration_cache", "calibration_images", "calibration_list")
        asked = [f"`{name}`" for name in sources if getattr(self, name)]
        if self.calibration_cache and len(asked) > 1:
            raise UserError(f"{' and '.join(asked)} are two sources of scales", "leave one out")
        if asked and self.engine.precision != "int8":
            raise UserError(f"{asked[0]} is for `precision` int8, not {self.engine.precision}")
        self.engine.require_runtime()

    def scales(self, faces: FaceDataset | None) -> Scales | None:
        """Return the scales of the cache or of a calibration; None where none are needed.

        Raises:
            UserError: There is neither a cache nor a data set to calibrate on.
        """
        if not self.engine.needs_scales(self.checkpoint):
            return None
        if self.calibration_cache:
            cached = read_cached_scales(self.calibration_cache, self.checkpoint.model)
            return Scales(cached.table, None, float_layers=cached.float_nodes)
        if faces is None:
            raise UserError(
                "`precision` int8 needs images to calibrate on", "or give a `calibration_cache`"
            )
        return self.calibrate(faces)

    def calibrate(self, faces: FaceDataset) -> Calibration:
        """Calibrate, or read what was calibrated before; output layers stay in floating point.

        Args:
            faces: The evaluated ones, calibrated on where no other images are named.

        Raises:
            UserError: The images cannot be read.
        """
        if self.calibration_images:
            files = open_images(self.calibration_images)
            images = choose_images(files.files, (), self.calibration_list)
            evaluated = set(faces.files.hashes([image.file for image in faces.images]))
            both = sum(sha256 in evaluated for sha256 in files.hashes(images.names))
            images = replace(images, evaluated=both)
            pixels = files.read(images.names)
        else:
            names = [image.name for image in faces.images]
            images = choose_images(names, names, self.calibration_list)
            pixels = ((image.name, values) for image, values in faces.read(images.names))
        calibrated = calibrate(self.checkpoint, self._prepared(images.names, pixels), images)
        # A step of a size's logarithm or of a score near 0 is too coarse, and they are little work.
        model = onnx.load(self.checkpoint.model)
        return calibrated.without_layers(model, output_layers(model))

    def inputs(self, faces: FaceDataset, names: tuple[str, ...]) -> NDArray[np.uint8]:
        """Return the input of the named images, uint8 (n, height, width, 3), in their order."""
        return self._prepared(names, ((i.name, values) for i, values in faces.read(names)))

    def _prepared(
        self, names: Sequence[str], images: Iterable[tuple[str, NDArray[np.uint8]]]
    ) -> NDArray[np.uint8]:
        height, width, _ = self.checkpoint.input_shape()
        fitted = {
            name: self.kind.prepare(pixels, width, height, self.fit)[0] for name, pixels in images
        }
        return np.stack([fitted[name] for name in names])

    def _describe(self, scales: Scales) -> dict[str, str | int]:
        """Return where INT8 scales come from, and what they leave out."""
        described: dict[str, str | int] = {}
        if self.calibration_cache:
            described |= {
                "calibration_cache": self.calibration_cache.name,
                "calibration_cache_sha256": file_sha256(self.calibration_cache)[:12],
            }
        if isinstance(scales, Calibration):
            described |= {
                "calibration": scales.table.method,
                "calibration_images": len(scales.images.names),
                "calibration_evaluated": scales.images.evaluated,
            }
        if scales.float_layers:
            described["left_float"] = ", ".join(scales.float_layers)
        return described
