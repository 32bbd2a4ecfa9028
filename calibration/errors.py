"""The error that a user's mistake raises."""


class UserError(Exception):
    """A mistake of the user's: what is wrong, and how to mend it.

    Parameters of the public calls stand in backticks in both texts; the command line prints them as
    its options, without a traceback, and exits with code 2.

    Attributes:
        problem: What is wrong; names the file or the parameter.
        hint: How to mend it; empty where the problem says so.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        return f"{self.problem}; {self.hint}" if self.hint else self.problem
