"""Compilation of all kernels of a lane by NVRTC, which needs no GPU."""

import pytest

from lfw_eval.datasets.alignment.cuda_crops import SOURCES as CROP_SOURCES
from lfw_eval.datasets.cuda_jpeg.decoder import SOURCES as JPEG_SOURCES
from lfw_eval.detectors.cuda_mtcnn.detector import SOURCES
from lfw_eval.detectors.cuda_mtcnn.fused_proposal import SOURCE
from lfw_eval.engines.cuda.program import cubin
from lfw_eval.system.errors import UserError


@pytest.mark.parametrize("capability", [(7, 5), (9, 0)])
def test_kernels_compile(capability, tmp_path):
    pytest.importorskip("cuda.bindings.nvrtc", exc_type=ImportError)
    try:
        code = cubin((SOURCE, *SOURCES, *CROP_SOURCES, *JPEG_SOURCES), capability, tmp_path)
    except UserError as error:
        if "is missing" not in str(error):
            raise
        pytest.skip(f"NVRTC is not installed: {error}")
    assert code.startswith(b"\x7fELF")
