"""How fast an engine is, as it was measured."""

from dataclasses import dataclass

from lfw_eval.results.engine import EngineDescription, ModelDescription


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


@dataclass(frozen=True)
class EngineSpeed:
    """How fast one engine is.

    Attributes:
        name: As `engine` names it.
        build_seconds: Of the build, in this run or an earlier one; 0 where there is none.
        hardware: The device's clocks and drivers, as they were after the measurement.
        speeds: One per batch size, that of `batch_size` first.
        cosine: Mean cosine of a batch's embeddings to those of the first engine compared.
    """

    name: str
    engine: EngineDescription
    build_seconds: float
    hardware: dict[str, str]
    speeds: tuple[Speed, ...]
    cosine: float | None


@dataclass(frozen=True)
class SpeedResult:
    """One engine, or several to compare; `judged_index` is the engine under test."""

    data: str
    model: ModelDescription
    engines: tuple[EngineSpeed, ...]
    judged_index: int

    @property
    def judged(self) -> EngineSpeed:
        """The engine under test."""
        return self.engines[self.judged_index]
