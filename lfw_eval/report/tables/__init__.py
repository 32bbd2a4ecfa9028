"""Tables for the terminal, one per verb."""
