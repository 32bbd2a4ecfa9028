"""What the tests for a GPU share."""

import pytest

from lfw_eval.engines.cuda import open_devices
from lfw_eval.engines.cuda.device import Device
from lfw_eval.engines.tensorrt.library import load_tensorrt
from lfw_eval.system.errors import UserError


@pytest.fixture(scope="session", autouse=True)
def gpu() -> Device:
    """The first GPU; without one, or without TensorRT, these tests are skipped."""
    try:
        load_tensorrt()
        (device,) = open_devices((0,))
    except UserError as error:
        pytest.skip(str(error))
    return device
