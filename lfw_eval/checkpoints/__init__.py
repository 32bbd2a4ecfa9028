"""Checkpoints to ONNX."""
