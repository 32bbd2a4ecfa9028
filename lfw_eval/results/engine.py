"""The network and the engine that a result is of, and an engine's pass over the crops."""

from dataclasses import dataclass

from lfw_eval.results.calibration import CacheDescription
from lfw_eval.results.executed import ExecutedTypes, percent

DUMMY = "the dummy engine computes a random projection: its accuracy and speed mean nothing"

_HALF = 0.5


@dataclass(frozen=True)
class ModelDescription:
    """What a result says of a network.

    Attributes:
        quantization: How the checkpoint itself is quantised, such as "Q/DQ"; None where it is in
            floating point, as all were that older files are of.
        own_normalisation: What the network's graph does to its input first, such as
            "(x - 127.5) / 128"; None for nothing, or where an older file does not say.
    """

    name: str
    source_sha256: str
    onnx_sha256: str
    normalisation: str
    quantization: str | None = None
    own_normalisation: str | None = None

    @property
    def normalised(self) -> str:
        """How its input is normalised, and by what where that is its own graph."""
        own = f" (the graph's own: {self.own_normalisation})" if self.own_normalisation else ""
        return f"{self.normalisation}{own}"

    def label(self, title: str) -> str:
        """Return the title of an engine of this network: "INT8 (Q/DQ in the checkpoint)"."""
        return f"{title} ({self.quantization} in the checkpoint)" if self.quantization else title


@dataclass(frozen=True)
class EngineDescription:
    """A built engine.

    Attributes:
        key: Identifies what it was built from.
        size: In bytes.
        executed: The types that it really computes in; None where they are not reported.
        adaptation: How a quantised network was changed for the runtime to get it right, and why;
            empty where it ran as it is, or an older file does not say.
        calibration_cache: The user's, that INT8 scales come from; None without one.
        refinement: The steps, in words, by which its network was refined for INT8; empty for the
            checkpoint's own.
    """

    precision: str
    arithmetic: str
    runtime: str
    device: str
    key: str
    size: int
    executed: ExecutedTypes | None = None
    adaptation: str = ""
    calibration_cache: CacheDescription | None = None
    refinement: str = ""

    @property
    def title(self) -> str:
        """What tables call it: its precision, with its share where it is less than half.

        The dummy engine only stands in for one of that precision.
        """
        name = self.precision.upper() + " refined" * bool(self.refinement)
        if self.is_dummy:
            return f"dummy for {name}"
        if self.falls_short and self.executed:
            return f"{percent(self.executed.share(self.precision))} {name}"
        return name

    @property
    def is_dummy(self) -> bool:
        """Whether it computes a random projection instead of the network."""
        return self.runtime.partition(" ")[0] == "dummy"

    @property
    def falls_short(self) -> bool:
        """Whether less than half of the multiply-adds are known to be in the precision."""
        return self.executed is not None and self.executed.share(self.precision) < _HALF


@dataclass(frozen=True)
class EnginePass:
    """One engine's pass over the crops."""

    engine: EngineDescription
    batch_size: int
    fps: float
    """Crops per second from the crop store to embeddings, building left out: of this one pass or,
    where the two engines were also timed side by side, the median of those windows."""
    measured: str
    """The day."""
    from_cache: bool
    """The embeddings are of an earlier run, and so is the FPS of the pass."""
