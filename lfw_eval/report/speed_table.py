"""The table of a speed measurement."""

from lfw_eval.results import SpeedResult


def speed_table(result: SpeedResult) -> str:
    """Return the result as lines of plain text."""
    speed, engine = result.speed, result.engine
    share = speed.end_to_end_fps / speed.engine_fps
    p50, p90, p99 = speed.latency_ms
    rows = (
        ("arithmetic", engine.arithmetic),
        ("engine", f"{engine.runtime} on {engine.device}, {engine.size / 1e6:.1f} MB"),
        ("batch", f"{speed.batch_size}"),
        ("FPS, engine only", f"{speed.engine_fps:,.1f}"),
        ("FPS, end to end", f"{speed.end_to_end_fps:,.1f} ({share:.0%} of engine only)"),
        ("latency of a batch", f"p50 {p50:.2f} ms, p90 {p90:.2f} ms, p99 {p99:.2f} ms"),
        ("crops", result.data),
    )
    lines = [f"{result.model.name}, {engine.precision.upper()}", ""]
    return "\n".join(lines + [f"{label:<20}{value}" for label, value in rows])
