"""The size of the crops that a network takes."""

from typing import NamedTuple


class CropSize(NamedTuple):
    """Height and width of crops, in pixels; its text is 112x96, the height first."""

    height: int
    width: int

    @classmethod
    def square(cls, side: int) -> "CropSize":
        """Return the size of square crops."""
        return cls(side, side)

    @property
    def is_square(self) -> bool:
        """Whether height and width are the same."""
        return self.height == self.width

    def has_aspect_of(self, other: "CropSize") -> bool:
        """Return whether one is the other, enlarged or reduced."""
        return self.height * other.width == self.width * other.height

    def scaled_to(self, longer: int) -> "CropSize":
        """Return the size whose longer side has that many pixels."""
        return CropSize(*(max(1, round(longer * side / max(self))) for side in self))

    def __str__(self) -> str:
        """Return height x width."""
        return f"{self.height}x{self.width}"
