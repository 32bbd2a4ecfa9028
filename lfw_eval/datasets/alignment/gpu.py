"""Alignment by MTCNN on the GPU: photographs are decoded, searched and cropped there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import cv2

from lfw_eval.checkpoints.crop_size import CropSize
from lfw_eval.datasets.alignment.contract import Alignment
from lfw_eval.datasets.alignment.cuda_crops import VERSIONS
from lfw_eval.datasets.alignment.five_point import FivePointAlignment
from lfw_eval.datasets.alignment.mtcnn import MtcnnAlignment
from lfw_eval.detectors.cuda_mtcnn.detector import RECIPE
from lfw_eval.detectors.cuda_mtcnn.engine_settings import engines_title
from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.program import compiler


@dataclass(frozen=True)
class GpuRuntimes:
    """What GPUs align with, by name and version; crops depend on all of it.

    Attributes:
        device: Their model.
        tensorrt: Runs R- and O-Net, in an arithmetic that is named too.
        compiler: Of the kernels.
    """

    device: str
    tensorrt: str
    compiler: str

    @classmethod
    def of(cls, gpus: tuple[int, ...]) -> "GpuRuntimes":
        """Return what GPUs of this machine align with.

        Raises:
            UserError: There is no such GPU, or a library is missing.
        """
        device, *_ = open_devices(gpus)
        return cls(
            device=device.name,
            tensorrt=engines_title(device),
            compiler=compiler(),
        )


@dataclass(frozen=True)
class GpuAlignment:
    """A recipe by MTCNN, run on GPUs; `lfw_eval.datasets.alignment.gpu_lanes` runs it.

    Attributes:
        recipe: The same on the CPU. Crops of the two differ by rounding.
        gpus: Numbers of the GPUs.
        runtimes: What they align with.
    """

    recipe: MtcnnAlignment | FivePointAlignment
    gpus: tuple[int, ...]
    runtimes: GpuRuntimes

    @property
    def size(self) -> CropSize:
        """Of the crops."""
        return self.recipe.size

    @property
    def fingerprint(self) -> str:
        """The recipe in words, which are those of the CPU's, with a hash of what it depends on."""
        return self.recipe.fingerprint

    @property
    def aligned_on(self) -> str:
        """The GPU, with the runtimes there."""
        return f"{self.runtimes.device}, {self.runtimes.tensorrt}"

    @property
    def versions(self) -> Mapping[str, str]:
        """Recipes and libraries that crops depend on, by name."""
        # Photographs have OpenCV's pixels, whoever decodes them.
        detection = {"gpu_mtcnn": str(RECIPE), "opencv": cv2.__version__}
        return {**VERSIONS, **detection, **asdict(self.runtimes)}


AnyAlignment = Alignment | GpuAlignment
"""A recipe and what runs it, the CPU or GPUs."""
