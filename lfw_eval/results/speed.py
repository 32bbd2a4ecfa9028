"""How fast an engine is, as it was measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds of one batch at a time, and how many batches they are of."""

    mean: float
    p50: float
    p90: float
    p99: float
    batches: int


@dataclass(frozen=True)
class Speed:
    """What was measured with `batch_size` crops a batch.

    Attributes:
        engine_fps: Crops per second over one batch that stays where the engine reads it, as many
            batches under way as it runs best with.
        engine_latency_ms: The same, one batch at a time.
        end_to_end_fps: Crops per second over all crops in turn, from uint8 in host memory to
            embeddings in host memory.
        latency_ms: The same, one batch at a time.
        threads: How many threads shared the engine for `threads_fps`, end to end.
    """

    batch_size: int
    engine_fps: float
    engine_latency_ms: Percentiles
    end_to_end_fps: float
    latency_ms: Percentiles
    threads: int | None
    threads_fps: float | None
