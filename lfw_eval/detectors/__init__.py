"""Face detectors that take photographs of any size."""
