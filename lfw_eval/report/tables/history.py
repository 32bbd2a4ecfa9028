"""The table of metrics over time."""

from lfw_eval.gate.history import History, Moment


def history_table(history: History) -> str:
    """Return a block of lines per series, oldest result first."""
    lines: list[str] = []
    for name, moments in history.series().items():
        metrics = list(dict.fromkeys(m for moment in moments for m in moment.tracked.metrics))
        header = "".join(f"{metric:>10}" for metric in metrics)
        lines += [name, f"  {'time':16}  {'commit':8}{header}"]
        for moment in moments:
            lines.append(_line(moment, metrics))
            for metric, finding in moment.findings.items():
                if finding.verdict == "regressed":
                    lines.append(f"    {metric} regressed: {finding.reason}")
            if moment.differs:
                lines.append(f"    not judged: {moment.differs}")
        lines.append("")
    marked = sum(
        finding.verdict == "regressed"
        for moment in history.moments
        for finding in moment.findings.values()
    )
    lines.append(f"{_count(len(history.moments), 'result')}, {_count(marked, 'regression')}")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(moment: Moment, metrics: list[str]) -> str:
    cells = []
    for metric in metrics:
        value = moment.tracked.metrics.get(metric)
        if value is None:
            cells.append(f"{'-':>10}")
            continue
        finding = moment.findings.get(metric)
        mark = "!" if finding and finding.verdict == "regressed" else ""
        text = f"{value:,.1f}" if metric == "FPS" else f"{value:.5f}"
        cells.append(f"{text + mark:>10}")
    return f"  {moment.time:%Y-%m-%d %H:%M}  {moment.commit:8}{''.join(cells)}"
