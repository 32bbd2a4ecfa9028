"""The network and the engine that a result is of, and an engine's pass over the crops."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelDescription:
    """What a result says of a network."""

    name: str
    source_sha256: str
    onnx_sha256: str
    normalisation: str


@dataclass(frozen=True)
class EngineDescription:
    """A built engine; `key` identifies what it was built from, `size` is in bytes."""

    precision: str
    arithmetic: str
    runtime: str
    device: str
    key: str
    size: int


@dataclass(frozen=True)
class EnginePass:
    """One engine's pass over the crops."""

    engine: EngineDescription
    batch_size: int
    fps: float
    """Crops per second from the crop store to embeddings, building left out."""
    measured: str
    """The day."""
    from_cache: bool
    """Embeddings and FPS are of an earlier run: the machine may have been faster or slower."""
