"""The exit codes of the command."""

OK = 0
FAILED = 1
"""Judged and failed: a target missed, a regression, a difference beyond its limit."""
MISTAKE = 2
"""A mistake of the user's, or data that cannot be used."""
CANNOT_TELL = 3
"""Judged, but the data are too few for a verdict."""
BUG = 70
"""A bug in lfw-eval; EX_SOFTWARE of sysexits.h."""
INTERRUPTED = 130
"""Ctrl-C."""
BROKEN_PIPE = 141
"""Whoever read the output is gone, as when it goes through head."""
