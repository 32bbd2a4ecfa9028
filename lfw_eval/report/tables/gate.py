"""A gate's findings as a table: plain text, and Markdown for a pull request."""

from lfw_eval.gate.verdict import Finding, GateResult

_ICONS = {"passed": "✅", "regressed": "❌", "cannot tell": "❓"}


def gate_table(result: GateResult) -> str:
    """Return the findings as lines of plain text."""
    rows: list[tuple[str, ...]] = [
        ("", "verdict", "baseline", "candidate", "worse by", "bounds", "allowed", "p")
    ]
    rows += [_cells(finding) for finding in result.findings]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [f"{result.candidate} against {result.baseline}", ""]
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    lines.append("")
    lines += [f"{finding.metric}: {finding.reason}" for finding in result.findings]
    lines += [f"note: {note}" for note in result.notes]
    return "\n".join([*lines, "", f"verdict  {result.verdict}"])


def gate_markdown(result: GateResult) -> str:
    """Return the findings as Markdown."""
    lines = [
        f"### {_ICONS[result.verdict]} {result.verdict}: {_escaped(result.candidate)} against "
        f"{_escaped(result.baseline)}",
        "",
        "| | verdict | baseline | candidate | worse by | bounds | allowed | p | why |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for finding in result.findings:
        cells = list(_cells(finding))
        cells[1] = f"{_ICONS[finding.verdict]} {finding.verdict}"
        lines.append(f"| {' | '.join(map(_escaped, [*cells, finding.reason]))} |")
    lines += ["", *(f"- {_escaped(note)}" for note in result.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _cells(finding: Finding) -> tuple[str, ...]:
    # FPS is judged as a multiple of FP32's, except by its floor; the other metrics are rates.
    speed, floor = (finding.metric.startswith(name) for name in ("FPS", "FPS floor"))
    digits = ",.1f" if floor else ".2f" if speed else ".5f"
    share = "+.1%" if speed or finding.metric == "scales" else "+.5f"
    unit = "x" if speed and not floor else ""
    bounds = finding.bounds
    return (
        finding.metric,
        finding.verdict,
        _number(finding.baseline, digits, unit),
        _number(finding.candidate, digits, unit),
        _number(finding.worse_by, share),
        f"{bounds[0]:{share}} to {bounds[1]:{share}}" if bounds else "",
        _number(finding.allowed, share.lstrip("+")),
        _number(finding.p_value, ".3g"),
    )


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{unit}{value:{form}}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
