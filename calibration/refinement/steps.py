"""The steps of a refinement, in the order in which they run."""

from calibration.refinement.contract import Step
from calibration.refinement.equalisation import Equalisation
from calibration.refinement.scale_search import ScaleSearch

STEPS: tuple[Step, ...] = (Equalisation(), ScaleSearch())
"""Steps that preserve the FP32 function come first."""
