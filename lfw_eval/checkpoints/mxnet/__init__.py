"""MXNet checkpoints, a symbol in JSON and its parameters, to ONNX without MXNet."""
