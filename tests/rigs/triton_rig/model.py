"""A model in Triton's Python backend, run by the server: model.onnx beside it, or a bad example.

The configuration's parameter `behaviour` says which: network, raise, sleep, cut (outputs too
narrow) or nothing (zeros, without computing).
"""

import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What the backend looks for."""

    def initialize(self, args):
        """Load the network of this version."""
        config = json.loads(args["model_config"])
        self.behaviour = config["parameters"]["behaviour"]["string_value"]
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (self.input,) = (item.name for item in self.session.get_inputs())
        self.outputs = {item.name: item.shape[1:] for item in self.session.get_outputs()}

    def execute(self, requests):
        """Answer requests, joined to one batch as Triton's own backends join them."""
        images = [triton.get_input_tensor_by_name(item, self.input).as_numpy() for item in requests]
        values = self.run(np.concatenate(images))
        ends = np.cumsum([len(item) for item in images])[:-1]
        parts = zip(*(np.split(item, ends) for item in values), strict=True)
        return [
            triton.InferenceResponse(list(map(triton.Tensor, self.outputs, part))) for part in parts
        ]

    def run(self, images):
        """Run the network, or do what the behaviour says."""
        if self.behaviour == "raise":
            raise ValueError("the model is out of sorts")
        if self.behaviour == "sleep":
            print("asleep", flush=True)
            time.sleep(600)
        if self.behaviour == "nothing":
            return [np.zeros((len(images), *item), np.float32) for item in self.outputs.values()]
        values = self.session.run(list(self.outputs), {self.input: images})
        return [item[:, 1:] for item in values] if self.behaviour == "cut" else values
