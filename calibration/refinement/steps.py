"""The steps of a refinement, in the order in which they run."""

from calibration.refinement.bias_correction import BiasCorrection
from calibration.refinement.contract import Step
from calibration.refinement.equalisation import Equalisation
from calibration.refinement.scale_search import ScaleSearch
from calibration.refinement.weight_rounding import WeightRounding

STEPS: tuple[Step, ...] = (Equalisation(), ScaleSearch(), BiasCorrection(), WeightRounding())
"""Steps that preserve the FP32 function come first."""
