"""The error that a user's mistake raises."""


class UserError(Exception):
    """A mistake of the user's, told in one sentence that names the file or option and the mend.

    The command line prints the sentence without a traceback and exits with code 2.
    """
