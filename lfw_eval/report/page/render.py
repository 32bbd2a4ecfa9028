"""The pages as HTML; each is complete, and fetches nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lfw_eval.report.arithmetic import multiply_adds
from lfw_eval.report.cautions import accuracy_cautions
from lfw_eval.report.page.contents import Contents
from lfw_eval.report.page.environment import page_environment, rendered, template_text
from lfw_eval.report.page.figure import Figure
from lfw_eval.report.page.palette import Style, styles
from lfw_eval.report.page.speeds import busy_words, speedup_of_engine
from lfw_eval.report.page.vega import drawing_library
from lfw_eval.report.scales import cache_coverage
from lfw_eval.report.undetected import alignment_note, undetected_note
from lfw_eval.results.kinds import kind_of


def render(contents: Contents, command: Sequence[str]) -> str:
    """Return the report.

    Args:
        command: The command that renders it, to be shown.
    """
    return _render(
        "page.html",
        _title(contents),
        contents.figures,
        contents.styles,
        command,
        contents=contents,
        busy_words=busy_words,
        speedup_of_engine=speedup_of_engine,
        multiply_adds=multiply_adds,
        accuracy_cautions=accuracy_cautions,
        kind_of=kind_of,
        alignment_note=alignment_note,
        undetected_note=undetected_note,
    )


def render_history(figures: Sequence[Figure], command: Sequence[str]) -> str:
    """Return a page of metrics over time.

    Args:
        command: The command that renders it, to be shown.
    """
    drawn = styles(run for figure in figures for run in figure.runs)
    return _render("history.html", "Metrics over time", figures, drawn, command, figures=figures)


def _render(
    template: str,
    title: str,
    drawn: Iterable[Figure],
    looks: Mapping[str, Style],
    command: Sequence[str],
    **content: Any,
) -> str:
    environment = page_environment()
    environment.filters["coverage"] = cache_coverage
    environment.filters["person"] = _person
    return rendered(
        environment.get_template(template),
        title,
        command,
        styles=looks,
        script=template_text("page.js"),
        library=Markup(drawing_library()),
        specs=Markup(_json({figure.name: figure.page_spec() for figure in drawn})),
        **content,
    )


def _title(contents: Contents) -> str:
    if contents.groups:
        group = contents.groups[0].group
        models = ", ".join(dict.fromkeys(column.model for column in group.columns))
        return f"{models}: {', '.join(column.label for column in group.columns)}"
    if contents.speeds:
        return f"Speed of {contents.speeds[0].result.model.name}"
    return "Face detection: " + ", ".join(
        label for section in contents.detections for label, _ in section.reports
    )


def _json(value: Any) -> str:
    """Return JSON that cannot close the script element around it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _person(name: str) -> str:
    """Return an image's name as words, which may wrap."""
    return name.replace("_", " ")
