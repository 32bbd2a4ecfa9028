"""Which engine to run, and how: checked before anything long, and built."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.engines.contract import BuildRequest, Engine, EngineOptions, Precision
from lfw_eval.engines.distributed import DistributedEngine
from lfw_eval.engines.registry import (
    ENGINES,
    engine_class,
    engine_key,
    local_engine,
    options_class,
)
from lfw_eval.engines.scales import Scales
from lfw_eval.engines.strict import require_int8
from lfw_eval.system.errors import UserError
from lfw_eval.workers.contract import Workers


@dataclass(frozen=True)
class EngineChoice:
    """An engine, and how to build it.

    Attributes:
        name: A key of `lfw_eval.engines.registry.ENGINES`.
        batch_size: The one to optimise for.
        max_batch_size: The largest one that will be run, if larger than that.
        options: The engine's own; see `choose_engine`.
        strict_precision: For "int8": refuse an engine that runs what is quantised in another type.
    """

    name: str = "openvino"
    precision: Precision = "int8"
    batch_size: int = 64
    max_batch_size: int = 1
    options: EngineOptions = field(default_factory=EngineOptions)
    strict_precision: bool = False

    @property
    def label(self) -> str:
        """What results call the engine: its name, or the address of one that is served."""
        return self.options.label(self.name)

    @property
    def reference(self) -> "EngineChoice":
        """The FP32 engine that this one is compared with; itself where it is that.

        Of the same kind for an engine that is built here, and a local one beside a served one.
        """
        if self.options.served:
            return EngineChoice(local_engine(), "fp32", self.batch_size, self.max_batch_size)
        return self.in_precision("fp32")

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that it is available in; a served engine has its own only."""
        return (self.precision,) if self.options.served else self.engine_class().precisions

    def needs_scales(self, checkpoint: Checkpoint) -> bool:
        """Return whether INT8 scales have to be calibrated for it."""
        scaled = self.options.has_scales or checkpoint.quantization
        return self.precision == "int8" and not scaled

    def in_precision(self, precision: Precision) -> "EngineChoice":
        """Return the same engine in another precision."""
        if precision == self.precision:
            return self
        options = self.options if precision == "int8" else self.options.without_int8()
        strict = self.strict_precision and precision == "int8"
        return replace(self, precision=precision, options=options, strict_precision=strict)

    def engine_class(self) -> type[Engine]:
        """Return the engine's class, which has the precision and takes the options.

        Raises:
            UserError: Its runtime is not installed, it lacks the precision, or the options
                contradict each other.
        """
        self.options.check(self.precision)
        self._check_strict()
        loaded = engine_class(self.name)
        if self.precision not in loaded.precisions:
            raise UserError(
                f"`engine` {self.label} has no {self.precision}, only "
                f"{', '.join(loaded.precisions)}",
                "take `engine` openvino or tensorrt",
            )
        return loaded

    def _check_strict(self) -> None:
        if self.strict_precision and self.precision != "int8":
            raise UserError(f"`strict_precision` is for `precision` int8, not {self.precision}")
        if self.strict_precision and self.options.served:
            raise UserError(
                f"`strict_precision` cannot be checked on `engine` {self.label}: a server does not "
                "report the types that it computes in",
                "leave it out",
            )

    def require_runtime(self) -> None:
        """Refuse what this machine has no runtime or no device for.

        Raises:
            UserError: As `engine_class`, or a device is missing.
        """
        self.engine_class().require_runtime(self.options)

    def preflight(self, checkpoint: Checkpoint) -> None:
        """Refuse what cannot be built here, before anything long begins.

        Raises:
            UserError: The runtime, device, precision, server or model is unavailable, or the
                options contradict each other.
        """
        self.engine_class()
        self.options.check_network(checkpoint.model)
        if self.options.served:
            self.build(checkpoint).close()
        else:
            self._require_own_precision(checkpoint)
            self.require_runtime()

    def request(self, checkpoint: Checkpoint, scales: Scales | None = None) -> BuildRequest:
        """Return what an engine of a checkpoint is built from.

        Raises:
            UserError: The checkpoint is quantised already, and not to be run as it is.
        """
        if not self.options.served:
            self._require_own_precision(checkpoint)
        if scales:
            checkpoint = scales.network_of(checkpoint)
        return BuildRequest(
            model=checkpoint.model,
            normalisation=checkpoint.normalisation,
            precision=self.precision,
            scales=scales.table if scales else None,
            batch_size=self.batch_size,
            max_batch_size=self.max_batch_size,
            calibration_crops=scales.crops if scales else None,
            options=self.options,
            strict_precision=self.strict_precision,
            quantization=checkpoint.quantization,
            float_layers=scales.float_layers if scales else (),
        )

    def spec(self, checkpoint: Checkpoint, scales: Scales | None = None) -> "EngineSpec":
        """Return all that it takes to build an engine of a checkpoint, here or by workers."""
        request = self.request(checkpoint, scales)
        folder = checkpoint.folder / "engines"
        return EngineSpec(self, request, folder, scales.recipe if scales else "")

    def build(self, checkpoint: Checkpoint, scales: Scales | None = None) -> Engine:
        """Build the engine of a checkpoint in this process, or load what was built before.

        Raises:
            UserError: The runtime is missing, or cannot build this.
        """
        return self.spec(checkpoint, scales).local()

    def _require_own_precision(self, checkpoint: Checkpoint) -> None:
        if checkpoint.quantization is None:
            return
        how = f"{checkpoint.name} is already quantised ({checkpoint.quantization}): "
        if self.precision != "int8":
            raise UserError(
                f"{how}its weights are INT8, so `precision` {self.precision} would not be what it "
                "says",
                "take `precision` int8, which runs it as it is",
            )
        if self.options.has_scales:
            raise UserError(f"{how}it takes no further scales", "leave `calibration_cache` out")


@dataclass(frozen=True)
class EngineSpec:
    """An engine to be built, here or by workers; see `Workers.open`.

    Attributes:
        folder: Where built engines are kept.
        refinement: As `Scales.recipe`.
    """

    choice: EngineChoice
    request: BuildRequest
    folder: Path
    refinement: str = ""

    def on(self, gpus: tuple[int, ...]) -> "EngineSpec":
        """Return the same engine on other GPUs; itself if it runs on none."""
        options = self.choice.options.on(gpus)
        return replace(
            self,
            choice=replace(self.choice, options=options),
            request=replace(self.request, options=options),
        )

    def local(self) -> Engine:
        """Build the engine in this process, or load what was built before.

        Raises:
            UserError: The runtime is missing, cannot build this, or `strict_precision` is asked for
                and the engine is not INT8 in all quantised layers.
        """
        engine = self.choice.engine_class().build(self.request, self.folder)
        engine.refinement = self.refinement
        if self.request.strict_precision:
            try:
                require_int8(engine)
            except UserError:
                engine.close()
                raise
        return engine

    def loads_beside_others(self) -> bool:
        """Return whether `local` only loads what was built, and leaves the processor to others."""
        return self.choice.engine_class().loads_beside_others(self.request, self.folder)

    def distributed(self, workers: Workers) -> DistributedEngine:
        """Build it on a worker's node, to be run by all workers.

        Raises:
            UserError: The workers are unavailable, or cannot build this.
        """
        return DistributedEngine(workers, self.local, self.choice.options.gpus)


def choose_engine(
    engine: str,
    precision: Precision = "int8",
    batch_size: int = 64,
    *,
    strict_precision: bool = False,
    **options: Any,
) -> EngineChoice:
    """Return the choice that a user describes.

    Args:
        engine: A key of `ENGINES`, or the address of a served model such as triton://host/model.
        strict_precision: As `EngineChoice` has it.
        options: Of any engine, by name; those that have their default value count as not given.

    Raises:
        UserError: There is no such engine or option, or an option is another engine's.
    """
    key = engine_key(engine)
    own = options_class(key)
    for name in sorted(options.keys() - own.names()):
        _refuse(engine, name, options[name])
    values = {name: value for name, value in options.items() if name in own.names()}
    return EngineChoice(
        key,
        precision,
        batch_size,
        options=own.asked(engine, **values),
        strict_precision=strict_precision,
    )


def _refuse(engine: str, name: str, value: object) -> None:
    """Refuse an option that no engine has, and another engine's if it is not at its default."""
    owner = next((key for key in ENGINES if name in options_class(key).names()), None)
    if owner is None:
        own = ", ".join(f"`{option}`" for option in options_class(engine_key(engine)).names())
        raise UserError(
            f"`engine` {engine} has no option `{name}`", f"it has {own}" if own else "it has none"
        )
    kind, own_names = options_class(owner), options_class(engine_key(engine)).names()
    if value != getattr(kind(), name):
        *most, last = (f"`{option}`" for option in kind.names() if option not in own_names)
        raise UserError(
            f"{', '.join(most)} and {last} are for `engine` {owner}, not `engine` {engine}",
            "leave them out",
        )
