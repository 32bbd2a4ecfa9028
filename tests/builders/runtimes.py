"""What the installed ONNX Runtime, by which tests judge, can do."""

from importlib.metadata import version

RECENT = tuple(map(int, version("onnxruntime").split(".")[:2])) >= (1, 30)
"""Before, its LayerNormalization is NaN for pictures of one colour, and its INT8 is coarser."""
