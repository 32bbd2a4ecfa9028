"""Whether a JPEG is whole: decoders fill what is missing with grey and say nothing."""

import re

_START = b"\xff\xd8"
# What ends coded data: not a stuffed zero, a restart or a fill byte (ITU-T T.81, B.1.1).
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_END_OF_IMAGE = 0xD9


def is_cut_off(content: bytes) -> bool:
    """Return whether a JPEG lacks its end marker; what follows that is of no account.

    A thumbnail within has an end marker of its own, so segments are stepped over by their length.

    Args:
        content: Of a file; False for one that is not a JPEG.
    """
    if not content.startswith(_START):
        return False
    at = len(_START)
    while marker := _MARKER.search(content, at):
        if content[marker.end() - 1] == _END_OF_IMAGE:
            return False
        segment = content[marker.end() : marker.end() + 2]
        at = marker.end() + max(2, int.from_bytes(segment, "big"))
    return True
