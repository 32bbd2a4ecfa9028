"""What the file system says of a file: while it says the same, the content is the same."""

import os
from typing import NamedTuple

# File systems round times, FAT to 2 s: a change this soon after another may leave no trace.
_GRANULARITY_NS = 2_000_000_000


class FileStamp(NamedTuple):
    """Which file it is, how long, and when it changed.

    The time of the last status change is part of it because no user can set it: writing in place
    and then setting back the modification time is noticed.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "FileStamp":
        """Return the stamp of a file."""
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)

    def settled(self, now_ns: int) -> bool:
        """Return whether a change after `now_ns`, in ns since the epoch, would change the stamp.

        It would not where the last change is too fresh (git calls such files racy).
        """
        return max(self.mtime_ns, self.ctime_ns) < now_ns - _GRANULARITY_NS
