"""Draw what each step of refinement gains, from what `benchmarks/refine.py` measured.

Usage: python benchmarks/refine_chart.py

Writes benchmarks/results/refinement.svg: 1 - cosine to FP32 after calibration and after each step,
a line per draw, on calibration crops that no step was fitted on.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from lfw_eval.report.page.vega import VEGA_LITE
from lfw_eval.system.files import write_atomically

RESULT = Path(__file__).parent / "results" / "refinement.json"
TITLES = {"facenet": "FaceNet", "mobilefacenet": "MobileFaceNet"}


def points(networks: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Yield the error after every step of every network and draw; an undone step leaves it."""
    for network, methods in networks.items():
        for draw, row in methods.get("refined", {}).get("draws", {}).items():
            refinement = row["settings"]["refinement"]
            errors = refinement["start"]
            for place, step in enumerate((refinement["start"], *refinement["steps"])):
                errors = step if step["used"] else errors
                yield {
                    "network": TITLES[network],
                    "draw": f"draw {draw}",
                    "place": place,
                    "step": step["name"],
                    "error": 1 - errors["cosine"],
                }


def chart(rows: list[dict[str, object]]) -> alt.Chart:
    """Return the chart, networks side by side."""
    steps = list(dict.fromkeys(str(row["step"]) for row in rows))
    lines = alt.Chart(alt.Data(values=rows)).mark_line(point=True)
    return lines.encode(
        x=alt.X("step:N", sort=steps, title=None, axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("error:Q", title="1 - mean cosine to FP32", scale=alt.Scale(type="log")),
        detail="draw:N",
        color=alt.Color("network:N", legend=None),
        column=alt.Column("network:N", title=None),
        order="place:Q",
    ).properties(width=280, height=240)


def main() -> None:
    """Draw and save."""
    rows = list(points(json.loads(RESULT.read_text(encoding="utf-8"))["networks"]))
    svg = vl_convert.vegalite_to_svg(chart(rows).to_dict(), vl_version=VEGA_LITE)
    write_atomically(RESULT.with_suffix(".svg"), svg.encode())
    print(RESULT.with_suffix(".svg"))


if __name__ == "__main__":
    main()
