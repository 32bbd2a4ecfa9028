"""Images and pairs by the million."""
