"""Names that come from files, as they are printed."""

from collections.abc import Collection

_SHOWN = 5


def first_names(names: Collection[str]) -> str:
    """Return the first of some names, and how many more there are."""
    shown = ", ".join(map(printable, list(names)[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def printable(name: str) -> str:
    """Return a name that comes from a file, its control characters escaped."""
    return name if name.isprintable() else repr(name)
