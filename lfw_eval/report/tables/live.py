"""The table of a live run."""

from lfw_eval.live.stats import LiveStats, Times

_LABEL = 26


def live_table(stats: LiveStats) -> str:
    """Return the stats as lines of plain text."""
    ended = ", ended by Ctrl-C" if stats.interrupted else ""
    rows = [
        ("frames", f"{stats.frames:,} in {stats.seconds:.1f} s{ended}"),
        ("dropped", f"{stats.dropped:,}"),
        ("FPS", f"{stats.fps:.1f}"),
        ("detection per frame", _times(stats.detection_ms)),
        ("embedding per frame", _times(stats.embedding_ms)),
        ("  per face", _times(stats.embedding_ms_per_face)),
        ("faces", f"{stats.faces:,}, {stats.unknown:,} unknown"),
        *(
            (f"  {name}", f"in {count:,} frame{'s' * (count != 1)}")
            for name, count in stats.people.items()
        ),
    ]
    return "\n".join(f"{label:<{_LABEL - 1}} {value}" for label, value in rows)


def _times(times: Times) -> str:
    return f"median {times.median:.1f} ms, 90 % within {times.p90:.1f}" if times.count else "none"
