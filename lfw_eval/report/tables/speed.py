"""The tables of a speed measurement."""

from collections.abc import Iterator, Sequence

from lfw_eval.metrics.paired.median import Median, ratios
from lfw_eval.report.arithmetic import share_and_layers
from lfw_eval.report.scales import cache_coverage, cache_title
from lfw_eval.report.tables.side_by_side import executed_notes, interval
from lfw_eval.results.executed import percent
from lfw_eval.results.speed import EngineSpeed, FpsWindows, Percentiles, Speed, SpeedResult
from lfw_eval.system.printing import counted

_LABEL = 24
_WIDTHS = (12, 12, 10, 18, 9, 8, 9, 8)


def speed_table(result: SpeedResult) -> str:
    """Return the result as lines of plain text."""
    judged = result.judged
    title = f"{result.model.name}, {result.model.label(judged.engine.title)}"
    lines = [title, "", *_of_one(judged)]
    lines.append(f"{'crops':<{_LABEL}}{result.data}")
    if len(judged.speeds) > 1:
        lines += ["", *_sweep(judged)]
    if judged.cosine is not None:
        lines += ["", *_comparison(result)]
    return "\n".join(lines)


def speed_rows(speed: Speed) -> Iterator[tuple[str, str]]:
    """Yield labels and texts of the speed at one batch size."""
    share = speed.end_to_end_fps / speed.engine_fps
    yield "batch", f"{speed.batch_size}"
    windows = speed.windows
    yield "FPS, engine only", f"{speed.engine_fps:,.1f}"
    if windows:
        yield _interval(windows.engine)
    yield "  latency of a batch", _latency(speed.engine_latency_ms)
    yield "FPS, end to end", f"{speed.end_to_end_fps:,.1f} ({share:.0%} of engine only)"
    if windows:
        yield _interval(windows.end_to_end)
    yield "  latency of a batch", _latency(speed.latency_ms)
    if speed.threads and speed.threads_fps is not None:
        yield f"FPS, {counted(speed.threads, 'thread')}", f"{speed.threads_fps:,.1f} end to end"
        if windows and windows.threads:
            yield _interval(windows.threads)
    if windows and windows.load.busy:
        yield "machine", f"*** BUSY: {windows.load.words} ***"


def _of_one(judged: EngineSpeed) -> Iterator[str]:
    engine = judged.engine
    rows = [
        ("arithmetic", engine.arithmetic),
        ("  multiply-adds", share_and_layers(engine)),
        ("engine", f"{engine.runtime} on {engine.device}, {engine.size / 1e6:.1f} MB"),
        *judged.hardware.items(),
        *speed_rows(judged.speeds[0]),
    ]
    for label, value in rows:
        yield f"{label:<{_LABEL}}{value}"
    yield from executed_notes(engine)
    if cache := engine.calibration_cache:
        yield f"{'scales':<{_LABEL}}from {cache_title(cache)}"
        yield f"{'':<{_LABEL}}{cache_coverage(cache)}"
    if engine.adaptation:
        yield f"{'adapted':<{_LABEL}}{engine.adaptation}"


def _interval(fps: FpsWindows) -> tuple[str, str]:
    return "  95 % interval", f"{interval(fps.interval, ',.1f')} ({len(fps.windows)} windows)"


def _latency(values: Percentiles) -> str:
    return (
        f"mean {values.mean:.2f} ms, p50 {values.p50:.2f}, p90 {values.p90:.2f}, "
        f"p99 {values.p99:.2f} ({values.batches:,} batches)"
    )


def _sweep(judged: EngineSpeed) -> Iterator[str]:
    yield (
        f"{'batch':>6}{'FPS, engine':>14}{'p50 ms':>10}{'p99 ms':>10}{'FPS, end to end':>18}"
        f"{'95 % interval':>24}"
    )
    for speed in sorted(judged.speeds, key=lambda speed: speed.batch_size):
        latency = speed.engine_latency_ms
        yield (
            f"{speed.batch_size:>6}{speed.engine_fps:>14,.0f}{latency.p50:>10.3f}"
            f"{latency.p99:>10.3f}{speed.end_to_end_fps:>18,.0f}"
            f"{_end_to_end_interval(speed):>24}"
        )


def _end_to_end_interval(speed: Speed) -> str:
    return interval(speed.windows.end_to_end.interval, ",.0f") if speed.windows else ""


def _comparison(result: SpeedResult) -> Iterator[str]:
    reference = result.engines[0].speeds[0]
    titles = ("latency ms", "FPS", "speed-up", "95 % interval", "build s", "MB", "cosine", "INT8")
    yield f"{'batch ' + str(result.judged.speeds[0].batch_size):<20}" + _cells(titles)
    for measured in result.engines:
        speed, executed = measured.speeds[0], measured.engine.executed
        speedup = _speedup(reference, speed)
        cells = (
            f"{speed.engine_latency_ms.mean:.3f}",
            f"{speed.engine_fps:,.0f}",
            f"x{speedup.value:,.2f}" if speedup else "",
            interval(speedup.interval, ",.2f") if speedup else "",
            f"{measured.build_seconds:.1f}" if measured.build_seconds else "",
            f"{measured.engine.size / 1e6:.1f}" if measured.engine.size else "",
            "" if measured.cosine is None else f"{measured.cosine:.5f}",
            percent(executed.share("int8")) if executed else "",
        )
        yield f"{f'{measured.name} {measured.engine.precision}':<20}" + _cells(cells)


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


def _speedup(reference: Speed, speed: Speed) -> Median | None:
    """Return how many times the reference's FPS an engine has by itself, window by window."""
    if not (reference.windows and speed.windows):
        return None
    windows = speed.windows.engine.windows, reference.windows.engine.windows
    return Median.of(ratios(*windows))
