"""Groups of options, declared once as dataclasses, as parameters of a verb."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, TypeVar, cast, get_args

from typer.models import OptionInfo

_Group = TypeVar("_Group")


@dataclass(frozen=True)
class Formerly:
    """Beside an option in `Annotated`: a name that it had, which goes on working, hidden."""

    name: str


@dataclass(frozen=True)
class Bare:
    """Beside an option in `Annotated`: its value where it is given without one."""

    value: str


def flattened(function: Callable[..., None]) -> Callable[..., None]:
    """Return a verb with the fields of its option groups as parameters, for Typer.

    A group is a dataclass whose fields are annotated as Typer's parameters are, or groups again.
    `panel`, where it has that, is the heading of its options in the help.
    """
    declared = inspect.signature(function).parameters
    groups: dict[str, Any] = {
        name: p.annotation for name, p in declared.items() if is_dataclass(p.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in declared.items():
        parameters += _parameters(groups[name]) if name in groups else [parameter]

    @wraps(function)
    def verb(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group_of(group, {f: values.pop(f) for f in names_of(group)})
        function(**values)

    # By name alone, so that they may stand in any order.
    keywords = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in parameters]
    verb.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in keywords}
    return verb


def group_of(group: type[_Group], values: Mapping[str, Any]) -> _Group:
    """Return a group of options, the groups in it too, of what its fields are called in a verb.

    What is left out has its default.
    """
    content: dict[str, Any] = {}
    for field in fields(group):  # type: ignore[arg-type]
        if is_dataclass(field.type):
            content[field.name] = group_of(cast(Any, field.type), values)
        elif field.name in values:
            content[field.name] = values[field.name]
    return group(**content)


def marks_of(function: Callable[..., None]) -> Iterator[tuple[str, Formerly | Bare]]:
    """Yield what is marked in a verb: a parameter's name and the mark beside its option."""
    for parameter in inspect.signature(flattened(function)).parameters.values():
        for mark in get_args(parameter.annotation)[1:]:
            if isinstance(mark, Formerly | Bare):
                yield parameter.name, mark


def with_values(arguments: Sequence[str], bare: Mapping[str, str]) -> list[str]:
    """Give options that stand there without a value theirs: Typer has no such options.

    An option is bare at the end, and before another option.
    """
    following = [*arguments, "-"][1:]
    return [
        f"{argument}={bare[argument]}" if argument in bare and after.startswith("-") else argument
        for argument, after in zip(arguments, following, strict=True)
    ]


def names_of(group: Any) -> list[str]:
    """Return what a group's fields, and those of groups in it, are called in a verb."""
    return [parameter.name for parameter in _parameters(group)]


def _parameters(group: Any) -> Iterator[inspect.Parameter]:
    for field in fields(group):
        if is_dataclass(field.type):
            yield from _parameters(field.type)
            continue
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=_under(getattr(group, "panel", None), field.type),
        )


def _under(panel: str | None, annotation: Any) -> Any:
    """The annotation, its option under a heading of the help."""
    kind, *marks = get_args(annotation)
    marks = [copy.copy(mark) for mark in marks]
    for mark in marks:
        if isinstance(mark, OptionInfo):
            mark.rich_help_panel = mark.rich_help_panel or panel
    parts = (kind, *marks)
    return Annotated[parts]
