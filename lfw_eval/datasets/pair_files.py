"""The file that lists a data set's pairs: in its folder or archive, or beside it."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

NAMES = ("pairs.txt", "pairs.csv", "pairs_CALFW.txt", "pairs_CPLFW.txt")
"""The first that exists is taken."""


@dataclass(frozen=True)
class ArchivedFile:
    """A file inside an archive that is never unpacked; reads as a `Path` does.

    Attributes:
        archive: Where it is.
        member: Its path in there.
        content: All of it.
    """

    archive: Path
    member: str
    content: bytes

    def __str__(self) -> str:
        return f"{self.member} in {self.archive}"

    @property
    def name(self) -> str:
        """Its name, without the folders."""
        return PurePosixPath(self.member).name

    @property
    def suffix(self) -> str:
        """What the name ends with, with its dot."""
        return PurePosixPath(self.member).suffix

    def read_bytes(self) -> bytes:
        """Return the content."""
        return self.content


PairFile = Path | ArchivedFile


def pairs_in(folder: Path) -> Path | None:
    """Return the pair list that lies in a folder itself, or None."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def local_pairs(photographs: Path) -> Path | None:
    """Return the pair list in the folder of the photographs, or beside it or the archive."""
    return pairs_in(photographs) or pairs_in(photographs.parent)
