"""The register of the zoo."""

from collections.abc import Callable

import onnx

Maker = Callable[[], onnx.ModelProto]

ZOO: dict[str, Maker] = {}
"""Makers of networks from an image (n, 3, 32, 32), or (n, 32, 32, 3), to an embedding of 64."""


def kind(name: str) -> Callable[[Maker], Maker]:
    """Register a maker."""

    def add(make: Maker) -> Maker:
        ZOO[name] = make
        return make

    return add
