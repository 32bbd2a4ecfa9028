"""What an engine can also be: one whose runtime says how long every layer takes."""

from abc import ABC, abstractmethod
from pathlib import Path

from lfw_eval.engines.contract import Batch, BuildRequest

TIMED_RUNS = 10
"""Runs of a batch that times are means of."""


class LayerTimes(ABC):
    """An engine that is timed layer by layer, built the same."""

    @classmethod
    @abstractmethod
    def layer_times(cls, request: BuildRequest, folder: Path, batch: Batch) -> dict[str, float]:
        """Return the milliseconds that layers with weights take of a batch, by name.

        Some may be missing: the runtime names layers in its own way.

        Args:
            folder: As of `Engine.build`.
        """
