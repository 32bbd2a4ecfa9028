"""LFW accuracy evaluation of FaceNet and FaceDetect engines."""

from importlib.metadata import version

__version__ = version("lfw-eval")
