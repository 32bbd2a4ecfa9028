"""The error that a user's mistake raises."""


class UserError(Exception):
    """A user's mistake: what is wrong, and how to fix it.

    Both texts put parameters of the public calls in backticks; the command line prints these as its
    options, without a traceback, and exits with code 2.

    Attributes:
        problem: What is wrong; names the file or the parameter.
        hint: How to fix it; empty where the problem makes it clear.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        return f"{self.problem}; {self.hint}" if self.hint else self.problem


def require_type(parameter: str, value: object, kind: type, takes: str) -> None:
    """Refuse an argument of a public call that is of another type.

    Args:
        takes: What the parameter takes, such as "a ScaleTable".

    Raises:
        UserError: It is of another type.
    """
    if not isinstance(value, kind):
        actual = "None" if value is None else type(value).__name__
        raise UserError(f"`{parameter}` takes {takes}, not {actual}")
