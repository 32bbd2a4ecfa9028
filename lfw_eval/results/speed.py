"""How fast an engine is, as it was measured."""

from dataclasses import dataclass, field

from lfw_eval.metrics.paired.median import Median, ratios
from lfw_eval.results.engine import EngineDescription, ModelDescription
from lfw_eval.system.machine_load import MachineLoad


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds of one batch at a time, and how many batches they are of."""

    mean: float
    p50: float
    p90: float
    p99: float
    batches: int


@dataclass(frozen=True)
class FpsWindows:
    """Crops per second in windows of time; the windows of engines that are compared alternate.

    Attributes:
        median: Over the windows.
        interval: 95 %, of the median; None with fewer than six windows.
        windows: In the order of time.
    """

    median: float
    interval: tuple[float, float] | None
    windows: tuple[float, ...]

    @classmethod
    def of(cls, windows: tuple[float, ...]) -> "FpsWindows":
        """Return the median of windows with its interval."""
        median = Median.of(windows)
        return cls(median.value, median.interval, windows)


@dataclass(frozen=True)
class PairedSpeed:
    """Reference and candidate in windows that alternate, from crops to embeddings.

    Attributes:
        ratio: Of the candidate's FPS to the reference's, window by window: what slows both alike,
            such as other processes, cancels.
        load: Of the machine meanwhile.
        hardware: The candidate's clocks and drivers, as they were after the windows.
    """

    batch_size: int
    reference: FpsWindows
    candidate: FpsWindows
    ratio: Median
    load: MachineLoad
    hardware: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, batch_size: int, reference: FpsWindows, candidate: FpsWindows, load: MachineLoad
    ) -> "PairedSpeed":
        """Return the speeds with their ratio."""
        ratio = Median.of(ratios(candidate.windows, reference.windows))
        return cls(batch_size, reference, candidate, ratio, load)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each pair of windows."""
        return ratios(self.candidate.windows, self.reference.windows)

    @property
    def of_reference(self) -> "PairedSpeed":
        """The reference beside itself, as fast in every window."""
        return PairedSpeed.of(self.batch_size, self.reference, self.reference, self.load)


@dataclass(frozen=True)
class SpeedWindows:
    """The windows that a speed's medians are of; `threads` are those of `threads_fps`."""

    engine: FpsWindows
    end_to_end: FpsWindows
    threads: FpsWindows | None
    load: MachineLoad


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
        windows: What each FPS is the median of; None in results of schemas up to 4.
    """

    batch_size: int
    engine_fps: float
    engine_latency_ms: Percentiles
    end_to_end_fps: float
    latency_ms: Percentiles
    threads: int | None
    threads_fps: float | None
    windows: SpeedWindows | None


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

    def at(self, batch_size: int) -> Speed | None:
        """Return the speed at a batch size, or None where it was not measured."""
        return next((speed for speed in self.speeds if speed.batch_size == batch_size), None)


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

    def reference_of(self, measured: EngineSpeed) -> EngineSpeed | None:
        """Return FP32 of the same runtime, measured beside an engine; None where there is none."""
        if measured.engine.precision == "fp32":
            return None
        for other in self.engines:
            same = other.engine.runtime == measured.engine.runtime
            if same and other.engine.precision == "fp32":
                return other
        return None

    def beside_reference(self, measured: EngineSpeed, batch_size: int) -> PairedSpeed | None:
        """Return an engine's speed end to end beside FP32 of the same runtime.

        None where FP32 or the batch size was not measured, or without windows.
        """
        reference = self.reference_of(measured)
        if reference is None:
            return None
        return paired_speed(reference.at(batch_size), measured.at(batch_size))


def paired_speed(reference: Speed | None, candidate: Speed | None) -> PairedSpeed | None:
    """Return two speeds end to end, as pairs of windows; None without windows of both."""
    if not (reference and candidate and reference.windows and candidate.windows):
        return None
    return PairedSpeed.of(
        candidate.batch_size,
        reference.windows.end_to_end,
        candidate.windows.end_to_end,
        candidate.windows.load,
    )
