"""Counts, and names that come from files, as they are printed."""

from collections.abc import Collection

_SHOWN = 5


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count and what is counted, such as "1 image" and "1,024 images".

    Args:
        noun: One of them.
        plural: Several of them; by default the noun with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def first_names(names: Collection[str]) -> str:
    """Return the first of some names, and how many more there are."""
    shown = ", ".join(map(printable, list(names)[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def printable(name: str) -> str:
    """Return a name that comes from a file, its control characters escaped."""
    return name if name.isprintable() else repr(name)
