"""JPEGs decoded on the GPU by kernels of the suite, to the very pixels of the CPU."""
