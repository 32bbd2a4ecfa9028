"""The options of an engine that a Triton server runs."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lfw_eval.engines.contract import STREAMS, EngineOptions
from lfw_eval.engines.triton.address import Address


@dataclass(frozen=True)
class TritonOptions(EngineOptions):
    """Where a model is served, and how it is asked.

    Attributes:
        address: As the user wrote it; see `Address`.
        streams: Requests under way at once.
    """

    served: ClassVar[bool] = True

    address: str = ""
    streams: int = STREAMS

    @classmethod
    def asked(cls, engine: str, **values: Any) -> "TritonOptions":
        """Return the options of the model at an address.

        Raises:
            UserError: It is not such an address.
        """
        Address.parse(engine)
        return cls(address=engine, **values)

    def label(self, engine: str) -> str:
        """Return the address."""
        return self.address
