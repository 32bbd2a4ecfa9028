"""INT8 calibration: from crops to a scale table, and from the table to every engine's format."""

RECIPE = 2
"""Version of scale tables: raise it when the same network and crops would give another table."""
