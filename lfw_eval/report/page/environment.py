"""What all pages have in common: templates, colours, and the command that wrote them."""

import shlex
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from lfw_eval import __version__
from lfw_eval.report.page.palette import DARK, LIGHT


def page_environment() -> jinja2.Environment:
    """Return the environment of the pages' templates."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        # Names in result files are untrusted.
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment


def rendered(template: jinja2.Template, title: str, command: Sequence[str], **content: Any) -> str:
    """Return a page.

    Args:
        command: The command that renders it, to be shown.
    """
    page = template.render(
        title=title,
        light=LIGHT,
        dark=DARK,
        css=template_text("page.css"),
        command=shlex.join(command),
        version=__version__,
        **content,
    )
    return f"{page}\n"


def template_text(name: str) -> Markup:
    """Return a file among the templates, as it is to stand in a page."""
    return Markup(_source(name))


def _source(name: str) -> str:
    file = resources.files(__package__).joinpath("templates").joinpath(name)
    return file.read_text(encoding="utf-8")


def _number(value: Any) -> str:
    """Format a table's cell; None is empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
