"""INT8 calibration: from crops to a scale table, and from the table to every engine's format."""
