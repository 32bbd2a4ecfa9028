"""What keeps numbers of a data set from being compared with others."""

from typing import Literal

Caution = Literal["", "stand-in", "resized", "drawn"]
"""Nothing; or other photographs stand in for LFW, which was unavailable; or the crops were aligned
for networks of another input size, and resized; or the pairs were drawn from a folder of people."""
