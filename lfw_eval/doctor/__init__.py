"""The state of this machine."""
