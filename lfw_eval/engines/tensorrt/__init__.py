"""NVIDIA's TensorRT, versions 8.5 to 11, and TensorRT-RTX."""
