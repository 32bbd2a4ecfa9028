"""The steps of a refinement, in the order in which they run."""

from calibration.refinement.contract import Step

STEPS: tuple[Step, ...] = ()
"""Steps that preserve the FP32 function come first."""
