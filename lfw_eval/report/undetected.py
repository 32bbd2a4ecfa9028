"""How photographs were aligned, and whose crop is the centre box for want of what, in words."""

from lfw_eval.system.printing import counted

_BOXES = "boxes of "


def alignment_note(alignment: str, aligned_on: str | None) -> str:
    """Return how photographs were aligned, and on what.

    Args:
        alignment: The recipe in words, as results have it.
        aligned_on: The same of what the detector ran on.
    """
    return f"{alignment} on {aligned_on}" if aligned_on else alignment


def undetected_note(alignment: str, undetected: int, images: int) -> str:
    """Return how many images show the centre box.

    Args:
        alignment: The recipe in words, as results have it.
    """
    lacks = f"no box in {_file(alignment)} for" if _from_file(alignment) else "no face detected in"
    return f"{lacks} {undetected:,} of {counted(images, 'image')} (centre box)"


def undetected_caution(alignment: str, undetected: int, images: int) -> str:
    """Return a sentence where a file of boxes lacks some of the images; else nothing.

    Args:
        alignment: The recipe in words, as results have it.
    """
    if not undetected or not _from_file(alignment):
        return ""
    of = counted(images, "image")
    return f"{_file(alignment)} has no box for {undetected:,} of {of}: centre box"


def _from_file(alignment: str) -> bool:
    return alignment.startswith(_BOXES)


def _file(alignment: str) -> str:
    return alignment[len(_BOXES) :].rsplit(", margin", 1)[0]
