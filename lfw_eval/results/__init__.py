"""Results as frozen dataclasses, and their files."""
