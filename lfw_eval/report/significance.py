"""What tables and page say of a p-value."""

_SIGNIFICANT = 0.05


def probability(value: float) -> str:
    """Return a p-value with the digits that matter."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def against_chance(p_value: float) -> str:
    """Return the end of a sentence on a change."""
    amount = "no more" if p_value >= _SIGNIFICANT else "more"
    return f"{amount} than chance explains (p {probability(p_value)})"
