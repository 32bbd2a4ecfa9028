"""How much of an engine is in its precision, in words."""

from collections.abc import Iterator

from lfw_eval.results.engine import DUMMY, EngineDescription
from lfw_eval.results.executed import percent

_NOT_REPORTED = "not reported"


def multiply_adds(engine: EngineDescription) -> str:
    """Return the share of an engine's multiply-adds that is in its precision."""
    if engine.executed is None:
        return _NOT_REPORTED
    kind = engine.executed.mostly(engine.precision)
    return f"{kind} {percent(engine.executed.share(engine.precision))}"


def layers(engine: EngineDescription) -> str:
    """Return how many convolutions and matrix products are in an engine's precision."""
    if engine.executed is None:
        return _NOT_REPORTED
    return f"{engine.executed.of(engine.precision).layers} of {engine.executed.total.layers}"


def share_and_layers(engine: EngineDescription) -> str:
    """Return both in one phrase."""
    if engine.executed is None:
        return _NOT_REPORTED
    return f"{multiply_adds(engine)}, in {layers(engine)} layers"


def shortfall(engine: EngineDescription) -> str:
    """Return a sentence on an engine of which less than half is in its precision, or nothing.

    The dummy engine has a sentence too.
    """
    if engine.is_dummy:
        return DUMMY
    if not engine.falls_short or engine.executed is None:
        return ""
    return (
        f"{engine.precision.upper()} in name only: {layers(engine)} layers, "
        f"{percent(engine.executed.share(engine.precision))} of the multiply-adds; "
        f"{engine.runtime} took {next(iter(engine.executed.by_type))}"
    )


def fallbacks(engine: EngineDescription) -> Iterator[str]:
    """Yield which quantised layers are not INT8, or that nobody knows."""
    if engine.executed and engine.executed.not_int8:
        layers_are, names = engine.executed.fallbacks
        yield f"{layers_are} not INT8: {names}"
    elif engine.executed is None and engine.precision == "int8" and not engine.is_dummy:
        yield f"how much is INT8 is unknown: {engine.runtime} does not report it"
