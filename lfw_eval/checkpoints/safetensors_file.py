"""State dicts in the safetensors format, read as NumPy arrays without PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfw_eval.system.errors import UserError, unreadable
