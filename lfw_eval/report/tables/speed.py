"""The tables of a speed measurement."""

from collections.abc import Iterator

from lfw_eval.report.arithmetic import layers, multiply_adds
from lfw_eval.report.tables.side_by_side import executed_notes
from lfw_eval.results.executed import percent
from lfw_eval.results.speed import EngineSpeed, Percentiles, Speed, SpeedResult

_LABEL = 22


def speed_table(result: SpeedResult) -> str:
    """Return the result as lines of plain text."""
    judged = result.judged
    lines = [f"{result.model.name}, {judged.engine.title}", "", *_of_one(judged)]
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
    yield "FPS, engine only", f"{speed.engine_fps:,.1f}"
    yield "  latency of a batch", _latency(speed.engine_latency_ms)
    yield "FPS, end to end", f"{speed.end_to_end_fps:,.1f} ({share:.0%} of engine only)"
    yield "  latency of a batch", _latency(speed.latency_ms)
    if speed.threads_fps is not None:
        yield f"FPS, {speed.threads} threads", f"{speed.threads_fps:,.1f} end to end"


def _of_one(judged: EngineSpeed) -> Iterator[str]:
    engine = judged.engine
    rows = [
        ("arithmetic", engine.arithmetic),
        ("  of the multiply-adds", f"{multiply_adds(engine)}; of the layers {layers(engine)}"),
        ("engine", f"{engine.runtime} on {engine.device}, {engine.size / 1e6:.1f} MB"),
        *judged.hardware.items(),
        *speed_rows(judged.speeds[0]),
    ]
    for label, value in rows:
        yield f"{label:<{_LABEL}}{value}"
    yield from executed_notes(engine)


def _latency(values: Percentiles) -> str:
    return (
        f"mean {values.mean:.2f} ms, p50 {values.p50:.2f}, p90 {values.p90:.2f}, "
        f"p99 {values.p99:.2f} ({values.batches:,} batches)"
    )


def _sweep(judged: EngineSpeed) -> Iterator[str]:
    yield f"{'batch':>6}{'FPS, engine':>14}{'p50 ms':>10}{'p99 ms':>10}{'FPS, end to end':>18}"
    for speed in sorted(judged.speeds, key=lambda speed: speed.batch_size):
        latency = speed.engine_latency_ms
        yield (
            f"{speed.batch_size:>6}{speed.engine_fps:>14,.0f}{latency.p50:>10.3f}"
            f"{latency.p99:>10.3f}{speed.end_to_end_fps:>18,.0f}"
        )


def _comparison(result: SpeedResult) -> Iterator[str]:
    reference = result.engines[0].speeds[0].engine_fps
    titles = ("latency ms", "FPS", "speed-up", "build s", "MB", "cosine", "INT8")
    yield f"{'batch ' + str(result.judged.speeds[0].batch_size):<20}" + "".join(
        f"{title:>12}" for title in titles
    )
    for measured in result.engines:
        speed, executed = measured.speeds[0], measured.engine.executed
        cells = (
            f"{speed.engine_latency_ms.mean:.3f}",
            f"{speed.engine_fps:,.0f}",
            f"x{speed.engine_fps / reference:,.2f}",
            f"{measured.build_seconds:.1f}" if measured.build_seconds else "",
            f"{measured.engine.size / 1e6:.1f}" if measured.engine.size else "",
            "" if measured.cosine is None else f"{measured.cosine:.5f}",
            percent(executed.share("int8")) if executed else "",
        )
        yield f"{f'{measured.name} {measured.engine.precision}':<20}" + "".join(
            f"{cell:>12}" for cell in cells
        )
