"""Simulate how well the uncertainty that is stated for a change between two runs holds.

Usage: nice python benchmarks/accuracy_significance.py [--repeats 3000] [--resamples 100]

Pairs of runs come from the model of `gate_power.py`: a pair's distance is normal, and each run adds
noise of its own. Both are drawn anew in every repeat, since a statement is about new pairs and
other roundings. The truth is the mean change over all repeats, thresholds trained in each; where
both runs have the same noise it is 0. For ACC by retrained thresholds, and for McNemar's test with
Tango's limits, which take thresholds as fixed, prints how often the two-sided p is below 0.05, how
often the 95 % interval holds the truth, and how often the truth lies beyond the one-sided 95 %
bounds; for AUC, EER and VAL, on fewer repeats, the same of the gate's tests.
Writes benchmarks/results/accuracy_significance.json and .svg.
"""

import argparse
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
from gate_power import DEVIATIONS, MEANS, NOISE, noise_for
from json_file import write_json
from scipy.stats import binomtest
from tqdm import tqdm

from lfw_eval.gate.accuracy import verification_tests
from lfw_eval.gate.rules import DEFAULT, Metric
from lfw_eval.metrics.paired import retraining
from lfw_eval.metrics.paired.accuracy_change import accuracy_change, accuracy_limits
from lfw_eval.metrics.verification.accuracy import accuracy, best_thresholds
from lfw_eval.metrics.verification.arrays import BoolArray, FloatArray, IntArray
from lfw_eval.metrics.verification.protocol import evaluate_distances
from lfw_eval.report.page.figure import Figure
from lfw_eval.report.page.figure_files import write_figures
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "accuracy_significance.json"
LEVEL = 0.05
METHODS = ("thresholds retrained", "thresholds fixed")
OTHERS: tuple[Metric, ...] = ("AUC", "EER", "VAL")


@dataclass(frozen=True)
class Scenario:
    """Two runs on the same pairs.

    Attributes:
        share: Of the repeats that were asked for.
        noise: Of the reference and of the candidate.
        shift: Added to all distances of the candidate.
        spread: Factor of the deviations of both classes: 1.6 makes ACC 0.93.
        null: Whether the true change is 0.
    """

    name: str
    share: float = 1 / 3
    pairs: int = 6000
    folds: int = 10
    noise: tuple[float, float] = (NOISE, NOISE)
    shift: float = 0.0
    spread: float = 1.0
    null: bool = True


SCENARIOS = (
    Scenario("LFW", share=1),
    Scenario("2,000 pairs at ACC 0.93, as the celebrities", share=1, pairs=2000, spread=1.6),
    Scenario("2,000 pairs", pairs=2000),
    Scenario("few changed pairs", noise=(0.002, 0.002)),
    Scenario("two folds of 1,000 pairs", pairs=2000, folds=2),
    Scenario("distances shifted by 0.05", shift=0.05),
    Scenario("candidate with 20 times the noise", noise=(0.005, 0.1), null=False),
    Scenario("0.5 points worse", noise=(NOISE, noise_for(0.5)), null=False),
    Scenario("no change at all", share=0.02, noise=(0.0, 0.0)),
)


@dataclass(frozen=True)
class Statement:
    """What is said of a change: two-sided p, 95 % interval, one-sided 95 % bounds."""

    p_value: float
    interval: tuple[float, float]
    bounds: tuple[float, float]


def drawn(scenario: Scenario, seed: int) -> tuple[FloatArray, FloatArray, BoolArray, IntArray]:
    """Return the distances of both runs, and class and fold of each pair."""
    rng = np.random.default_rng(seed)
    rows = np.arange(scenario.pairs)
    kind = rows % 2
    deviations = scenario.spread * np.array(DEVIATIONS)
    shared = rng.normal(np.array(MEANS)[kind], deviations[kind])
    runs = [
        np.clip(shared + shift + rng.normal(0, noise, scenario.pairs), 0, 3.999)
        for noise, shift in zip(scenario.noise, (0, scenario.shift), strict=True)
    ]
    return runs[0], runs[1], kind == 0, rows * scenario.folds // scenario.pairs


@dataclass(frozen=True)
class Outcome:
    """A pair of runs: its change of ACC, and what each method states.

    Attributes:
        changed: Pairs that changed sides.
        regressed: Whether ACC alone is a regression to the gate.
    """

    value: float
    changed: int
    regressed: bool
    statements: Mapping[str, Statement]


def draw_resamples(number: int) -> None:
    """Let this process draw so many resamples for a change of ACC."""
    retraining.RESAMPLES = number


def simulate(scenario: Scenario, seed: int) -> Outcome:
    """Simulate a pair of runs."""
    *runs, genuine, fold = drawn(scenario, seed)
    decided, values = [], []
    for distances in runs:
        rows = np.tile(distances, (scenario.folds, 1))
        thresholds = best_thresholds(rows, genuine, fold)
        decided.append(distances < thresholds[fold])
        values.append(accuracy(decided[-1], genuine, fold, thresholds).value)
    right = [decisions == genuine for decisions in decided]
    changed = int(np.sum(right[0] & ~right[1])), int(np.sum(~right[0] & right[1]))
    value = values[1] - values[0]
    change = accuracy_change(
        runs[0], runs[1], genuine, fold, value=value, lost=changed[0], gained=changed[1]
    )

    def limits(error: float, level: float) -> tuple[float, float]:
        return accuracy_limits(value, error, changed, scenario.pairs, level, level)

    exact = float(binomtest(changed[0], sum(changed)).pvalue) if sum(changed) else 1.0
    regressed = value < -DEFAULT.metrics["ACC"].allowed_drop
    regressed &= change.p_value / 2 < DEFAULT.significance / 4
    statements = {
        METHODS[0]: Statement(
            change.p_value, change.interval, limits(change.standard_error, LEVEL)
        ),
        METHODS[1]: Statement(exact, limits(0, LEVEL / 2), limits(0, LEVEL)),
    }
    return Outcome(value, sum(changed), regressed, statements)


def summary(scenario: Scenario, repeats: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Return how often the statements on ACC are wrong."""
    tasks = pool.map(simulate, [scenario] * repeats, range(repeats), chunksize=10)
    outcomes = list(tqdm(tasks, total=repeats, desc=scenario.name, disable=None))
    values = np.array([outcome.value for outcome in outcomes])
    truth = 0.0 if scenario.null else float(values.mean())
    return {
        **asdict(scenario),
        "repeats": repeats,
        "changed_pairs": float(np.mean([outcome.changed for outcome in outcomes])),
        "truth": truth,
        "mean_change": float(values.mean()),
        "standard_deviation": float(values.std()),
        "regressed": float(np.mean([outcome.regressed for outcome in outcomes])),
        "methods": {
            method: shares([outcome.statements[method] for outcome in outcomes], truth)
            for method in METHODS
        },
    }


def shares(statements: list[Statement], truth: float) -> dict[str, float]:
    """Return the shares of significant changes, of intervals that hold the truth, and of misses."""
    # A limit at the truth holds it, also where it is rounded.
    slack = 1e-12
    low, high = np.array([statement.interval for statement in statements]).T
    worst, best = np.array([statement.bounds for statement in statements]).T
    return {
        "p below 0.05": float(np.mean([statement.p_value < LEVEL for statement in statements])),
        "interval holds the truth": float(
            np.mean((low <= truth + slack) & (truth - slack <= high))
        ),
        "worse than the upper bound": float(np.mean(truth < worst - slack)),
        "better than the lower bound": float(np.mean(truth > best + slack)),
    }


def others(scenario: Scenario, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield how often the gate's bounds of AUC, EER and VAL are wrong where the truth is 0."""
    judged = []
    for seed in tqdm(range(repeats), desc=f"{scenario.name}: {', '.join(OTHERS)}", disable=None):
        *runs, genuine, fold = drawn(scenario, seed)
        reference, candidate = (
            evaluate_distances(np.tile(run, (scenario.folds, 1)), genuine, fold) for run in runs
        )
        tests = verification_tests(candidate, reference)
        judged.append({test.metric: test.difference for test in tests})
    for metric in OTHERS:
        # At 5 % on either side: a two-sided test of 10 % is their pair.
        bounds = np.array([row[metric].limits(LEVEL, LEVEL) for row in judged])
        p_values = np.array([row[metric].p_value for row in judged])
        yield {
            "scenario": scenario.name,
            "metric": metric,
            "repeats": repeats,
            "one-sided p below 0.05": float(np.mean(p_values < LEVEL)),
            "worse than the upper bound": float(np.mean(bounds[:, 1] < -1e-12)),
            "90 % interval holds the truth": float(
                np.mean((bounds[:, 0] <= 1e-12) & (bounds[:, 1] >= -1e-12))
            ),
        }


def draw(results: list[dict[str, Any]]) -> None:
    """Draw the coverage of the 95 % intervals."""
    rows = [
        {"scenario": result["name"], "method": method, "share": share["interval holds the truth"]}
        for result in results
        for method, share in result["methods"].items()
    ]
    encoded = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "share:Q",
            title="share of 95 % intervals that hold the true change of ACC",
            scale=alt.Scale(domain=[0.75, 1]),
        ),
        y=alt.Y("scenario:N", title=None, sort=[result["name"] for result in results]),
        color=alt.Color("method:N", title=None, sort=METHODS),
        shape=alt.Shape("method:N", title=None, sort=METHODS),
    )
    wanted = alt.Chart(alt.Data(values=[{"share": 0.95}])).mark_rule(strokeDash=[4, 4])
    points = encoded.mark_point(filled=True, size=70, clip=True)
    figure = Figure(
        name=RESULT.stem,
        title="Intervals of the change of ACC",
        finding="",
        note="",
        chart=alt.layer(wanted.encode(x="share:Q"), points).properties(height=220, width=420),
        rows=rows,
    )
    write_figures((figure,), "svg", RESULT.parent)


def main() -> None:
    """Simulate, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--resamples", type=int, default=100, help="The gate draws 1,000.")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    content: dict[str, Any] = {
        "resamples": options.resamples,
        "accuracy": results,
        "environment": asdict(environment()),
    }
    with ProcessPoolExecutor(
        options.workers, initializer=draw_resamples, initargs=(options.resamples,)
    ) as pool:
        for scenario in SCENARIOS:
            results.append(summary(scenario, round(options.repeats * scenario.share), pool))
            for method, share in results[-1]["methods"].items():
                said = ", ".join(f"{name} {value:.3f}" for name, value in share.items())
                print(f"{scenario.name}, {method}: {said}", flush=True)
            write_json(RESULT, content)
    draw(results)
    content["others"] = []
    for scenario in SCENARIOS[:2]:
        for row in others(scenario, round(options.repeats / 10)):
            content["others"].append(row)
            print(row, flush=True)
    write_json(RESULT, content)


if __name__ == "__main__":
    main()
