"""Data sets: photographs, pairs and aligned crops."""
