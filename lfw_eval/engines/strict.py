"""The refusal of an engine that is not INT8 in all that was quantised."""

from lfw_eval.engines.contract import Engine
from lfw_eval.system.errors import UserError


def require_int8(engine: Engine) -> None:
    """Refuse an engine in which a quantised layer runs in another type than int8.

    Raises:
        UserError: It does, or the runtime does not report in which types it runs; the message names
            the layers.
    """
    if engine.executed is None:
        raise UserError(
            f"`strict_precision` cannot be checked: {engine.runtime()} does not report the types "
            "that it computes in",
            "leave it out",
        )
    if engine.executed.not_int8:
        layers_are, names = engine.executed.fallbacks
        raise UserError(
            f"`strict_precision`: {layers_are} not in int8 on {engine.runtime()}: {names}",
            "it has no int8 kernel for them; leave `strict_precision` out to accept these types"
            if engine.constrained
            else "it cannot be told which types to choose; leave `strict_precision` out to accept "
            "these",
        )
