"""What says in a list whether a pair shows the same person."""

from collections.abc import Iterable

from lfw_eval.system.errors import UserError

_GENUINE = ("1", "true", "yes", "same", "genuine", "match", "matched", "positive", "t", "y")
_IMPOSTOR = (
    *("0", "-1", "false", "no", "different", "impostor", "imposter"),
    *("mismatch", "mismatched", "negative", "diff", "f", "n"),
)
SAME = {**dict.fromkeys(_GENUINE, True), **dict.fromkeys(_IMPOSTOR, False)}
"""By the word, in lower case."""
SAME_IN_WORDS = (
    "1, true, yes, same, genuine or match, or 0, -1, false, no, different, impostor or mismatch"
)


def plain_label(label: str) -> str:
    """Return a label in lower case, of whole numbers without sign or fraction: `+1`, `1.0`."""
    return label.strip().lower().removeprefix("+").removesuffix(".0")


def require_clear(path: object, labels: Iterable[str]) -> None:
    """Refuse a list with -1 beside 0: either may be what is unknown.

    Args:
        path: Names the list in errors.
        labels: As `plain_label` returns them.
    """
    if {"-1", "0"} <= set(labels):
        raise UserError(
            f"{path} has the labels -1 and 0, so one of them may not mean different people",
            "leave out the pairs of the one that does not",
        )
