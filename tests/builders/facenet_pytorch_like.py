"""Weights as facenet-pytorch has them."""

import numpy as np


def state_dict() -> dict[str, np.ndarray]:
    """Random weights under facenet-pytorch's names and shapes (512-d)."""
    rng = np.random.default_rng(4)
    state: dict[str, np.ndarray] = {}

    def unit(name, inputs, outputs, height=1, width=1):
        scale = np.sqrt(2 / (inputs * height * width))
        state[f"{name}.conv.weight"] = rng.normal(0, scale, (outputs, inputs, height, width))
        norm(f"{name}.bn", outputs)

    def norm(name, channels):
        state[f"{name}.weight"] = rng.uniform(0.9, 1.1, channels)
        state[f"{name}.bias"] = rng.normal(0, 0.1, channels)
        state[f"{name}.running_mean"] = rng.normal(0, 0.1, channels)
        state[f"{name}.running_var"] = rng.uniform(0.9, 1.1, channels)

    def up(name, inputs, outputs):
        state[f"{name}.conv2d.weight"] = rng.normal(0, 0.05, (outputs, inputs, 1, 1))
        state[f"{name}.conv2d.bias"] = rng.normal(0, 0.1, outputs)

    for name, inputs, outputs, size in (
        ("conv2d_1a", 3, 32, 3), ("conv2d_2a", 32, 32, 3), ("conv2d_2b", 32, 64, 3),
        ("conv2d_3b", 64, 80, 1), ("conv2d_4a", 80, 192, 3), ("conv2d_4b", 192, 256, 3),
        ("mixed_6a.branch0", 256, 384, 3), ("mixed_6a.branch1.0", 256, 192, 1),
        ("mixed_6a.branch1.1", 192, 192, 3), ("mixed_6a.branch1.2", 192, 256, 3),
        ("mixed_7a.branch0.0", 896, 256, 1), ("mixed_7a.branch0.1", 256, 384, 3),
        ("mixed_7a.branch1.0", 896, 256, 1), ("mixed_7a.branch1.1", 256, 256, 3),
        ("mixed_7a.branch2.0", 896, 256, 1), ("mixed_7a.branch2.1", 256, 256, 3),
        ("mixed_7a.branch2.2", 256, 256, 3),
    ):  # fmt: skip
        unit(name, inputs, outputs, size, size)
    for index in range(5):
        name = f"repeat_1.{index}"
        unit(f"{name}.branch0", 256, 32)
        for branch, depth in (("branch1", 2), ("branch2", 3)):
            for step in range(depth):
                size = 3 if step else 1
                unit(f"{name}.{branch}.{step}", 32 if step else 256, 32, size, size)
        up(name, 96, 256)
    for names, channels, width, length in (
        ([f"repeat_2.{index}" for index in range(10)], 896, 128, 7),
        ([*(f"repeat_3.{index}" for index in range(5)), "block8"], 1792, 192, 3),
    ):
        for name in names:
            unit(f"{name}.branch0", channels, width)
            unit(f"{name}.branch1.0", channels, width)
            unit(f"{name}.branch1.1", width, width, 1, length)
            unit(f"{name}.branch1.2", width, width, length, 1)
            up(name, 2 * width, channels)
    state["last_linear.weight"] = rng.normal(0, 0.03, (512, 1792))
    norm("last_bn", 512)
    return {name: values.astype(np.float32) for name, values in state.items()}
