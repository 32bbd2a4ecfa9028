"""Two runs on the same pairs or images."""
