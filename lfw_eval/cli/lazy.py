"""Verbs whose modules are imported when they are called."""

import copy
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lfw_eval.cli.errors import name_options
from lfw_eval.cli.flatten import Bare, flattened, marks_of, with_values
from lfw_eval.cli.overwriting import require_inputs_kept
from lfw_eval.system.errors import UserError


@dataclass(frozen=True)
class Verb:
    """A verb as the help of its group lists it.

    Attributes:
        name: What the user types.
        target: Its function, or the Typer app of a group of verbs, as "module:name".
        help: The first line of the function's docstring, or the app's help.
        panel: The heading that it stands under.
    """

    name: str
    target: str
    help: str
    panel: str

    def load(self) -> Any:
        """Import the module and return the function or the app."""
        module, _, name = self.target.partition(":")
        # Nothing of what modules hold becomes garbage: looking for some takes a tenth of the import
        # now, and some of every later search.
        gc.disable()
        try:
            return getattr(import_module(module), name)
        finally:
            gc.freeze()
            gc.enable()


class _ShowsFlags:
    """A command whose help shows flags without a type, which they do not take."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, the help option too."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class LeafCommand(_ShowsFlags, TyperCommand):
    """A verb's command: its mistakes name its own options, and what is hidden is not shown.

    Attributes:
        bare: The options that may be given without a value, and the value that they have then.
    """

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.bare: dict[str, str] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        return super().parse_args(ctx, with_values(args, self.bare))

    def invoke(self, ctx: Any) -> Any:
        """Run the verb, unless it would write over what it reads."""
        try:
            require_inputs_kept(ctx.params)
            return super().invoke(ctx)
        except UserError as error:
            name_options(error, self.params)
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what the usage line says after the command's name."""
        shown = [param for param in self.get_params(ctx) if not getattr(param, "hidden", False)]
        return ["[OPTIONS]", *(piece for param in shown for piece in param.get_usage_pieces(ctx))]


class LazyCommand(TyperCommand):
    """What stands for a verb until it is called."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.name, short_help=verb.help, rich_help_panel=verb.panel)
        self._verb = verb

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse the arguments as the verb's own command does."""
        command = command_of(self._verb)
        return command.make_context(info_name, args, parent=parent, **extra)


class LazyGroup(_ShowsFlags, TyperGroup):
    """A group of verbs; without one it prints its help."""

    verbs: Sequence[Verb] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for verb in self.verbs:
            self.add_command(LazyCommand(verb))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before the verb's name."""
        return super().parse_args(ctx, args or ["--help"])


def command_of(verb: Verb) -> Any:
    """Return the command of a verb, or of a group of verbs, as Typer makes it."""
    target = verb.load()
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    app = typer.Typer(add_completion=False)
    app.command(verb.name, cls=LeafCommand, help=_paragraphs(target.__doc__))(flattened(target))
    command: Any = typer.main.get_command(app)
    parameters = {parameter.name: parameter for parameter in command.params}
    for name, mark in marks_of(target):
        parameter = parameters[name]
        if isinstance(mark, Bare):
            command.bare |= dict.fromkeys(parameter.opts, mark.value)
            continue
        former = copy.copy(parameter)
        former.opts, former.secondary_opts, former.hidden = [mark.name], [], True
        command.params.append(former)
    return command


def _paragraphs(docstring: str) -> str:
    """A docstring without its line breaks, which Typer would print as they are."""
    return "\n\n".join(" ".join(text.split()) for text in docstring.split("\n\n"))
