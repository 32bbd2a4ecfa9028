"""Triton Inference Server: what is deployed there, measured through gRPC or HTTP."""
