"""The colours of the page and of its curves, distinct on light and dark backgrounds."""

from collections.abc import Iterable
from dataclasses import dataclass

# Every colour has a contrast of at least 3 with both backgrounds, as WCAG 2.1 (1.4.11) requires.
# Lightness and dashes differ too, for readers who cannot distinguish the hues.
CURVES = ("#7a828c", "#2f7fd6", "#d9620f", "#12906f", "#c04f9b", "#8a6a1f")
_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (7, 3), (2, 2), (10, 3, 2, 3), (5, 2), (1, 3))
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_FIRST = {"FP32": 0, "FP16": 1, "INT8": 2}

GENERIC = "#2f7fd6"
"""For bars that belong to no run."""


# From grey to what stands out most: lightness alone tells them apart, for all readers. Each has a
# contrast of at least 3 with its background.
NOISE_LIGHT = ("#8a8f98", "#987d37", "#9e6417", "#9d480a", "#873507", "#6a2003")
NOISE_DARK = ("#6b727b", "#96804d", "#bd8d3a", "#e09d39", "#f7b95f", "#fee5af")
"""The classes of noise, the least first, on light and dark backgrounds."""


@dataclass(frozen=True)
class Theme:
    """The page's colours, light or dark."""

    background: str
    panel: str
    text: str
    muted: str
    line: str
    link: str
    passed: str
    regressed: str
    doubtful: str


LIGHT = Theme(
    background="#ffffff",
    panel="#f5f6f8",
    text="#1b1f24",
    muted="#555d68",
    line="#d5d9df",
    link="#0b5cad",
    passed="#0d6b3c",
    regressed="#b3211b",
    doubtful="#855300",
)
DARK = Theme(
    background="#14171b",
    panel="#1e2329",
    text="#e8eaed",
    muted="#a9b1bb",
    line="#3a414a",
    link="#7db8f7",
    passed="#5ed394",
    regressed="#ff8b82",
    doubtful="#f0b44c",
)


@dataclass(frozen=True)
class Style:
    """The look of a run."""

    colour: str
    dash: tuple[int, ...]
    shape: str

    @property
    def dasharray(self) -> str:
        """The dashes as an SVG attribute."""
        return " ".join(map(str, self.dash))


def styles(labels: Iterable[str]) -> dict[str, Style]:
    """Return a style for each run; FP32, FP16 and INT8 look the same in every report."""
    by_label: dict[str, Style] = {}
    others = iter(range(len(_FIRST), 10**6))
    for label in labels:
        if label not in by_label:
            row = _FIRST[label] if label in _FIRST else next(others)
            # After the last colour the cycle restarts with different dashes.
            shift = row // len(CURVES)
            by_label[label] = Style(
                colour=CURVES[row % len(CURVES)],
                dash=_DASHES[(row + shift) % len(_DASHES)],
                shape=_SHAPES[(row + shift) % len(_SHAPES)],
            )
    return by_label
