"""Any ONNX network in one form."""
