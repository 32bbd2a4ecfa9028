"""Mistakes as the command line says them: in one sentence, with its own names for parameters."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from lfw_eval.system.errors import UserError

_PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")
# Typer has a Click of its own from 0.25 on, and does not export this class.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def user_mistake(error: Exception) -> str | None:
    """Return what to say of a mistake of the user's, or None where it is none."""
    if isinstance(error, UserError):
        return as_options(str(error), {})
    if isinstance(error, _UsageError):
        return _usage(error)
    return None


def name_options(error: UserError, parameters: Iterable[Any]) -> None:
    """Name the options of the called verb where an error names parameters."""
    names = option_names(parameters)
    error.problem = as_options(error.problem, names)
    error.hint = as_options(error.hint, names)


def option_names(parameters: Iterable[Any]) -> dict[str, str]:
    """Return how a verb's parameters are called on the command line.

    Args:
        parameters: Typer's or Click's parameters of the verb.
    """
    return {
        parameter.name: _shown(parameter)
        for parameter in parameters
        if not getattr(parameter, "hidden", False)
    }


def as_options(text: str, names: Mapping[str, str]) -> str:
    """Return a text, parameters in backticks as options.

    Args:
        names: Of the verb's parameters, as `option_names` returns them. What is not among them is
            an option of other verbs, or no option at all.
    """
    shared = {} if names.keys() >= set(_PARAMETER.findall(text)) else _shared_names()
    return _PARAMETER.sub(
        lambda match: names.get(match[1]) or shared.get(match[1]) or f"'{match[1]}'", text
    )


def _shared_names() -> dict[str, str]:
    """The options that several verbs share."""
    # Where nothing goes wrong, the command starts without them.
    from lfw_eval.cli.engine_options import RayOptions
    from lfw_eval.cli.flatten import flattened
    from lfw_eval.cli.jobs import JobOptions

    def shared(options: JobOptions, ray: RayOptions) -> None:
        """Take them all."""

    app = typer.Typer(add_completion=False)
    app.command()(flattened(shared))
    command: Any = typer.main.get_command(app)
    return option_names(command.params)


def _shown(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    options = [*parameter.opts, *parameter.secondary_opts]
    return str(next((option for option in options if option.startswith("--")), options[0]))


def _usage(error: Any) -> str:
    """Return Click's complaint as a sentence of ours."""
    said = " ".join(error.format_message().split()).rstrip(".")
    # Some versions of Typer put this before what their parsers say.
    said = said.replace("Value error, ", "").replace(". Did", "; did")
    said = f"{said[:1].lower()}{said[1:]}"
    # Click's own hint is enough.
    own = said.endswith("?") or not error.ctx
    return said if own else f"{said}; see {error.ctx.command_path} --help"
