"""MTCNN on a GPU: P-Net and all between the networks as CUDA kernels, R- and O-Net as engines."""
