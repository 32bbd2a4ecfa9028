"""Simulate how often the gate raises a false alarm, and how often it detects a drop in ACC.

Usage: python benchmarks/gate_power.py [--repeats 400] [--workers 2]

Both runs see the same 3,000 genuine and 3,000 impostor pairs in 10 folds. A pair's distance is
normal, with means and deviations as FaceNet has them on LFW, the same in both runs; each run adds
noise of its own, as quantisation does, so that a share of the decisions differs as between FP32 and
INT8. A worse candidate adds more noise: as much as costs the wanted points of ACC on a million
pairs. Every pair of runs is judged by the gate's default rules. Prints the shares of the verdicts,
and writes them and their chart to benchmarks/results/gate_power.json and .svg.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
from json_file import write_json
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm
from tqdm import tqdm

from lfw_eval.gate.accuracy import verification_findings
from lfw_eval.gate.rules import DEFAULT
from lfw_eval.gate.verdict import GateResult
from lfw_eval.metrics.verification.protocol import VerificationResult, evaluate_distances
from lfw_eval.report.page.figure import Figure
from lfw_eval.report.page.figure_files import write_figures
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "gate_power.json"
DROPS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8)  # points
CLAIMED = (0.0, 0.5)  # of which the README speaks
PAIRS, FOLDS = 6000, 10
# Squared L2 of genuine and impostor pairs, as FaceNet has them on LFW; deviations a fifth larger,
# since real tails are heavier, so that ACC is 0.992 as there.
MEANS, DEVIATIONS = (0.475, 1.961), (0.277, 0.337)
NOISE = 0.015  # of each run; twice what INT8 has beside FP32
VERDICTS = ("passed", "cannot tell", "regressed")


def error_rate(noise: float) -> float:
    """The exact share of wrong decisions at the best threshold, on a grid."""
    thresholds = np.linspace(*MEANS, 2000)
    deviations = [np.hypot(deviation, noise) for deviation in DEVIATIONS]
    wrong = norm.sf(thresholds, MEANS[0], deviations[0])
    wrong = wrong + norm.cdf(thresholds, MEANS[1], deviations[1])
    return float(wrong.min() / 2)


def noise_for(points: float) -> float:
    """The candidate's noise that costs so many points of ACC."""
    if not points:
        return NOISE
    wanted = error_rate(NOISE) + points / 100
    return float(brentq(lambda noise: error_rate(noise) - wanted, NOISE, 3))


def simulate(seed: tuple[int, int], noise: float) -> tuple[dict[str, str], int]:
    """One pair of runs: the verdict on each metric and on all, and how many pairs changed sides."""
    rng = np.random.default_rng(seed)
    genuine = np.arange(PAIRS) % 2 == 0
    fold = np.arange(PAIRS) * FOLDS // PAIRS
    kind = (~genuine).astype(int)
    shared = rng.normal(np.array(MEANS)[kind], np.array(DEVIATIONS)[kind])

    def run(own: float) -> VerificationResult:
        distances: NDArray[np.float64] = np.clip(shared + rng.normal(0, own, PAIRS), 0, 3.999)
        return evaluate_distances(np.tile(distances, (FOLDS, 1)), genuine, fold)

    baseline, candidate = run(NOISE), run(noise)
    findings = tuple(verification_findings(candidate, baseline, DEFAULT))
    changed = int(np.sum(baseline.decisions != candidate.decisions))
    verdicts = {finding.metric: str(finding.verdict) for finding in findings}
    verdicts["gate"] = GateResult("", "", findings, ()).verdict
    return verdicts, changed


def shares(points: float, repeats: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """How often each verdict comes for a drop of so many points."""
    seeds = [(round(points * 1000), repeat) for repeat in range(repeats)]
    noise = noise_for(points)
    tasks = pool.map(simulate, seeds, [noise] * repeats, chunksize=5)
    outcomes = list(tqdm(tasks, total=repeats, desc=f"drop {points}", disable=None))
    names = outcomes[0][0]
    return {
        "points": points,
        "noise": noise,
        "repeats": repeats,
        "changed_pairs": float(np.mean([changed for _, changed in outcomes])),
        "shares": {
            name: {
                verdict: float(np.mean([verdicts[name] == verdict for verdicts, _ in outcomes]))
                for verdict in VERDICTS
            }
            for name in names
        },
    }


def draw(results: list[dict[str, Any]]) -> None:
    """The shares of the gate's verdicts by drop."""
    rows = [
        {"points": result["points"], "verdict": verdict, "share": result["shares"]["gate"][verdict]}
        for result in results
        for verdict in VERDICTS
    ]
    order = alt.Scale(domain=VERDICTS)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("points:Q", title="true drop of ACC, points"),
        y=alt.Y("share:Q", title="share of gates"),
        color=alt.Color("verdict:N", title=None, scale=order),
    )
    lines = base.mark_line().encode(strokeDash=alt.StrokeDash("verdict:N", title=None, scale=order))
    points = base.mark_point(filled=True, size=70).encode(
        shape=alt.Shape("verdict:N", title=None, scale=order)
    )
    figure = Figure(
        name=RESULT.stem,
        title="Verdicts on 6,000 pairs, default rules (ACC may drop 0.2 points)",
        finding="",
        note="",
        chart=alt.layer(lines, points).properties(height=280),
        rows=rows,
    )
    write_figures((figure,), "svg", RESULT.parent)


def main() -> None:
    """Simulate, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=400, help="Of what the README states.")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers) as pool:
        results = [
            shares(points, options.repeats // (1 if points in CLAIMED else 5), pool)
            for points in DROPS
        ]
    for result in results:
        print(
            f"drop {result['points']:.1f} points, {result['changed_pairs']:.0f} pairs changed: "
            + ", ".join(f"{result['shares']['gate'][v]:.1%} {v}" for v in VERDICTS)
        )
    content = {"results": results, "environment": asdict(environment())}
    write_json(RESULT, content)
    draw(results)


if __name__ == "__main__":
    main()
