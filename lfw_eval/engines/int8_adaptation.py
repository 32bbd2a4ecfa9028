"""A quantised network as a runtime gets it right that was found to get 8-bit products wrong."""

from dataclasses import dataclass, replace

import onnx

from lfw_eval.checkpoints.qdq import level_types, simulated, unsigned_activations
from lfw_eval.checkpoints.quantized import Quantization
from lfw_eval.engines.contract import BuildRequest
from lfw_eval.engines.int8_self_test import Int8Exactness
from lfw_eval.results.executed import ExecutedTypes
from lfw_eval.system.errors import UserError


@dataclass(frozen=True, eq=False)
class Adapted:
    """A network, and how it was adapted.

    Attributes:
        adaptation: What was changed, and why, in a sentence; empty where nothing was.
        simulated: It computes in float32.
    """

    model: onnx.ModelProto
    adaptation: str = ""
    simulated: bool = False


def adapt_to_runtime(
    model: onnx.ModelProto, request: BuildRequest, exactness: Int8Exactness, runtime: str
) -> Adapted:
    """Return the network of a request as the runtime gets it right.

    Args:
        model: The network of the request, with Q/DQ nodes if it is for int8.
        exactness: Of the runtime on this machine.
        runtime: Its name and version, for messages.

    Raises:
        UserError: The network is quantised already, and has no such form.
    """
    adapted = adapt_int8(model, request.quantization or "Q/DQ", exactness, runtime)
    # In which type our own Q/DQ nodes store activations is for us to choose, and no news.
    news = request.quantization or adapted.simulated
    return adapted if news else replace(adapted, adaptation="")


def int8_arithmetic(
    request: BuildRequest, floating: str, executed: ExecutedTypes | None, *, simulated: bool
) -> str:
    """Return in words what an engine for int8 computes in.

    Args:
        floating: The type of all that is not quantised.
        executed: What it runs in; None where the runtime does not say.
        simulated: Whether 8-bit arithmetic is simulated.
    """
    if simulated:
        return f"simulated in {floating}"
    if request.quantization == "weights":
        return f"{floating} (weights int8)"
    if executed and not executed.of("int8").layers:
        return floating
    return f"int8 and {floating}"


def adapt_int8(
    model: onnx.ModelProto, quantization: Quantization, exactness: Int8Exactness, runtime: str
) -> Adapted:
    """Return a quantised network in a form that computes what its Q/DQ nodes say.

    Activations in int8 become uint8 where the runtime is right with these alone; where it is right
    with neither, 8-bit arithmetic is simulated in float32.

    Args:
        quantization: How the network is quantised.
        exactness: Of the runtime on this machine.
        runtime: Its name and version, for messages.

    Raises:
        UserError: The network has no such form.
    """
    types = level_types(model)
    if not types or (exactness.unsigned and (exactness.signed or "int8" not in types)):
        return Adapted(model)
    wrong = "int8 activations" if exactness.unsigned else "8-bit products"
    rewritten = None
    if quantization == "Q/DQ" and exactness.unsigned:
        rewritten = unsigned_activations(model)
        adaptation = "int8 activations run as uint8, zero points 128 higher, which is the same"
    elif quantization == "Q/DQ":
        rewritten = simulated(model)
        adaptation = "INT8 is simulated in float32, at the speed of float32"
    if rewritten is None:
        raise UserError(
            f"{runtime} gets {wrong} wrong on this machine, by a self-test, and this network "
            f"({quantization}) cannot be rewritten",
            "take another `engine` or machine",
        )
    why = f"{runtime} gets {wrong} wrong on this machine, by a self-test"
    return Adapted(rewritten, f"{adaptation}: {why}", simulated=not exactness.unsigned)
