"""Face detection on arrays."""
