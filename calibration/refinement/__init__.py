"""Refinement: a network prepared so that INT8 costs its embeddings less.

Two networks come out. The *equalised* one computes the same in FP32 as the original, to 1e-4, and
is where quantisation-aware training starts. The *refined* one is for INT8 alone: its biases make
good what rounding does, and its weights lie on the INT8 grid, from which every engine finds the
same INT8 network through the scale table, a calibration cache or Q/DQ nodes.
"""

RECIPE = 1
"""Version of refinement: raise it when the same network and images would give another one."""
