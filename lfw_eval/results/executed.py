"""The types that an engine really computes in, which a runtime chooses by itself."""

from dataclasses import dataclass
from math import floor

from lfw_eval.system.printing import first_names

_OF_PRECISION = {"fp32": ("float32",), "fp16": ("float16", "bfloat16"), "int8": ("int8",)}
UNIDENTIFIED = "unidentified"
"""The type of a layer that the runtime does not report."""


@dataclass(frozen=True)
class Work:
    """Layers, and their multiply-adds for one image."""

    layers: int
    multiply_adds: int


@dataclass(frozen=True)
class ExecutedTypes:
    """Where the arithmetic of a network's convolutions and matrix products is done.

    Attributes:
        by_type: By the type of the factors, such as "int8" or "float16"; the largest share of
            the multiply-adds first.
        not_int8: Layers that were quantised and run in another type all the same, which is given
            by layer.
    """

    by_type: dict[str, Work]
    not_int8: dict[str, str]

    @property
    def total(self) -> Work:
        """All layers."""
        works = self.by_type.values()
        return Work(sum(w.layers for w in works), sum(w.multiply_adds for w in works))

    @property
    def fallbacks(self) -> tuple[str, str]:
        """How many quantised layers run in another type, with the verb, and which, in words."""
        noun = "layer is" if len(self.not_int8) == 1 else "layers are"
        names = [f"{layer} ({kind})" for layer, kind in self.not_int8.items()]
        return f"{len(names)} quantised {noun}", first_names(names)

    def of(self, precision: str) -> Work:
        """Return the work done in a precision, "fp32", "fp16" or "int8"."""
        works = [self.by_type.get(name, Work(0, 0)) for name in _OF_PRECISION[precision]]
        return Work(sum(w.layers for w in works), sum(w.multiply_adds for w in works))

    def share(self, precision: str) -> float:
        """Return the share of the multiply-adds that is done in a precision, from 0 to 1."""
        return self.of(precision).multiply_adds / max(self.total.multiply_adds, 1)

    def mostly(self, precision: str) -> str:
        """Return the type that most of a precision's work is in; its first one where there is none.

        Args:
            precision: "fp32", "fp16" or "int8".
        """
        types = _OF_PRECISION[precision]
        return next((name for name in self.by_type if name in types), types[0])


def percent(share: float) -> str:
    """Return a share in percent, rounded down: only all of it is 100 %."""
    return f"{floor(share * 1000) / 10:.4g} %"
