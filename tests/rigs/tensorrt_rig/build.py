"""Build an engine of one ONNX file and print what came of it as JSON; run as a script.

It runs in a process of its own, whose `PYTHONPATH` leads to the bindings. Needs no GPU: the plan
is made, not loaded.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import tensorrt_bindings as trt


class Log(trt.ILogger):
    """Keeps what is at least a warning."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def log(self, severity: trt.ILogger.Severity, message: str) -> None:
        if severity <= trt.ILogger.Severity.WARNING:
            self.messages.append(message.strip())


def build(path: Path) -> dict[str, object]:
    """Parse and build, for batches of 1 to 64."""
    started = time.monotonic()
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)  # version 11 has no other than strongly typed networks
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse(path.read_bytes())
    plan = None
    if parsed:
        crops = network.get_input(0)
        profile = builder.create_optimization_profile()
        profile.set_shape(crops.name, *((batch, *crops.shape[1:]) for batch in (1, 64, 64)))
        config = builder.create_builder_config()
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    tensors = [network.get_input(i) for i in range(network.num_inputs)]
    tensors += [network.get_output(i) for i in range(network.num_outputs)]
    return {
        "parsed": parsed,
        "errors": [parser.get_error(i).desc() for i in range(parser.num_errors)],
        "messages": log.messages,
        "layers": Counter(f"{x.type.name} {x.get_output(0).dtype.name}" for x in layers),
        "types": [tensor.dtype.name for tensor in tensors],
        "plan_bytes": plan.nbytes if plan is not None else None,
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    print(json.dumps(build(Path(sys.argv[1]))))
