"""Face verification over arrays: facenet's protocol, and the paired comparison of two runs."""
