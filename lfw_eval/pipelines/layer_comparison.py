"""INT8 beside FP32 on one engine, tensor by tensor: where it loses accuracy, and in which layers."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from calibration.constants import with_initializers
from calibration.placement import Placement
from lfw_eval.engines.cached_scales import cached_scales
from lfw_eval.engines.choice import EngineSpec
from lfw_eval.engines.contract import BuildRequest, Engine, Outputs
from lfw_eval.engines.observation import ObservingEngine
from lfw_eval.engines.weighted_layers import shapes_of_one_image
from lfw_eval.metrics.tensor_error import TensorError, sqnr
from lfw_eval.metrics.verification.comparison import mean_cosine
from lfw_eval.pipelines.calibration import calibrate_if_needed, calibration_crops
from lfw_eval.pipelines.embedder import Embedder
from lfw_eval.pipelines.job import Job
from lfw_eval.pipelines.layer_explanation import explain
from lfw_eval.pipelines.side_by_side import describe_calibration, describe_engine
from lfw_eval.pipelines.tensor_graph import TensorGraph, tensor_graph
from lfw_eval.results.layers import FusedTensor, LayerComparison, TensorComparison
from lfw_eval.system.errors import UserError

# Bytes of all observed tensors of a batch, in each of the two engines.
_IN_MEMORY = 256 << 20
