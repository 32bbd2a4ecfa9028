"""Simulate how often the 95 % intervals of VAL, ACC, AUC and EER hold the true value.

Usage: python benchmarks/val_coverage.py [--repeats 1000] [--workers 2]

As many genuine as impostor pairs in 10 folds, independent, from distributions whose VAL, AUC and
EER are known: normal, with means and deviations as FaceNet has them on LFW and on the celebrities;
heavy tails (Student's t); skewed (gamma); and of unequal deviations, one class much narrower than
the other. VAL is taken at FARs from the smallest that the impostor pairs resolve, up. The true ACC
is the mean of all runs: that of the protocol on such data. `plain` is what intervals of 1.96
standard errors (of ACC, of t over folds) cover. Prints the smallest and the largest coverage over
the distributions, and writes all to benchmarks/results/val_coverage.json.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from json_file import write_json
from scipy import stats
from scipy.optimize import brentq
from tqdm import tqdm

from lfw_eval.metrics.verification.auc import auc_interval
from lfw_eval.metrics.verification.eer import eer_interval
from lfw_eval.metrics.verification.metric import Metric
from lfw_eval.metrics.verification.pooled import evaluate_pooled
from lfw_eval.metrics.verification.protocol import evaluate_distances
from lfw_eval.metrics.verification.val import validation_rate
from lfw_eval.results.environment import environment

RESULT = Path(__file__).parent / "results" / "val_coverage.json"
FOLDS = 10
# Squared L2 of genuine and impostor pairs; means and deviations of the first as in gate_power.py.
DISTRIBUTIONS: dict[str, tuple[Any, Any]] = {
    "LFW": (stats.norm(0.475, 0.277), stats.norm(1.961, 0.337)),
    "celebrities": (stats.norm(0.7, 0.3), stats.norm(1.6, 0.3)),
    "heavy tails": (stats.t(5, 0.6, 0.2), stats.t(5, 1.961, 0.24)),
    "skewed": (stats.gamma(3, 0.05, 0.16), stats.gamma(12, 0.6, 0.11)),
    "narrow genuine": (stats.norm(0.4, 0.1), stats.norm(1.6, 0.35)),
    "narrow impostor": (stats.norm(0.5, 0.45), stats.norm(1.9, 0.1)),
}
FARS = {
    306: (0.001, 0.01, 0.1),
    1000: (0.001, 0.003, 0.01, 0.1),
    2995: (0.001,),
    3000: (0.001, 0.003, 0.01),
    10_000: (0.0003, 0.001, 0.01),
}
"""By the number of impostor pairs; some are not resolved."""


class Tally:
    """How many of some intervals hold a value, and how wide they are."""

    def __init__(self) -> None:
        self.intervals: list[tuple[float, float]] = []

    def summary(self, truth: float) -> dict[str, float]:
        """Return the share that holds the truth, the shares above and below it, and the width."""
        low, high = np.array(self.intervals).T
        return {
            "coverage": float(np.mean((low <= truth) & (truth <= high))),
            "above": float(np.mean(low > truth)),
            "below": float(np.mean(high < truth)),
            "width": float(np.mean(high - low)),
        }


def plain(metric: Metric) -> tuple[float, float]:
    """Return the value and 1.96 standard errors to either side."""
    half = 1.96 * metric.standard_error
    return metric.value - half, metric.value + half


def truths(name: str) -> dict[str, float]:
    """Return the true AUC and EER of a distribution."""
    genuine, impostor = DISTRIBUTIONS[name]
    threshold = brentq(lambda t: impostor.cdf(t) - genuine.sf(t), 0, 4)
    middle = (np.arange(200_000) + 0.5) / 200_000
    return {
        "AUC": float(np.mean(genuine.cdf(impostor.ppf(middle)))),
        "EER": float(impostor.cdf(threshold)),
    }


def simulate(name: str, impostors: int, repeats: int) -> list[dict[str, Any]]:
    """Return the coverage of every interval, of one distribution and number of pairs."""
    genuine_of, impostor_of = DISTRIBUTIONS[name]
    genuine = np.arange(2 * impostors) % 2 == 0
    fold = np.arange(2 * impostors) * FOLDS // (2 * impostors)
    targets = FARS[impostors]
    vals = {far: (Tally(), Tally()) for far in targets}
    metrics = {metric: (Tally(), Tally()) for metric in ("ACC", "AUC", "EER")}
    unresolved = dict.fromkeys(targets, 0)
    accuracies = []
    for repeat in range(repeats):
        rng = np.random.default_rng((list(DISTRIBUTIONS).index(name), impostors, repeat))
        distances = np.empty(2 * impostors)
        distances[genuine] = genuine_of.rvs(impostors, random_state=rng)
        distances[~genuine] = impostor_of.rvs(impostors, random_state=rng)
        distances = distances.clip(0, 3.999)
        seen = np.tile(distances, (FOLDS, 1))
        pooled = evaluate_pooled(distances.astype(np.float32), genuine, targets)
        for far, rate in zip(targets, pooled.val, strict=True):
            val = validation_rate(seen, genuine, fold, far)
            unresolved[far] += bool(val.unresolved)
            for tally, limits in zip(vals[far], (val.interval, rate.interval), strict=True):
                if limits:
                    tally.intervals.append(limits)
        result = evaluate_distances(seen, genuine, fold)
        accuracy = result.accuracy
        accuracies.append(accuracy.value)
        half = float(stats.t.ppf(0.975, FOLDS - 1)) * accuracy.standard_error
        for metric, interval, usual in (
            ("ACC", accuracy.interval, (accuracy.value - half, accuracy.value + half)),
            ("AUC", auc_interval(distances, genuine), plain(result.auc)),
            ("EER", eer_interval(distances, genuine), plain(result.eer)),
        ):
            metrics[metric][0].intervals.append(interval)
            metrics[metric][1].intervals.append(usual)
    about = {"distribution": name, "pairs_of_each_kind": impostors, "repeats": repeats}
    rows: list[dict[str, Any]] = []
    for far, (own, pool) in vals.items():
        true = float(genuine_of.cdf(impostor_of.ppf(far)))
        row = about | {"metric": "VAL", "far_target": far, "true": true}
        row["unresolved"] = unresolved[far] / repeats
        if own.intervals:
            row |= own.summary(true) | {"pooled": pool.summary(true)}
        rows.append(row)
    true_of = {"ACC": float(np.mean(accuracies)), **truths(name)}
    for metric, (ours, plainly) in metrics.items():
        true = true_of[metric]
        row = about | {"metric": metric, "true": true, **ours.summary(true)}
        rows.append(row | {"plain": plainly.summary(true)})
    return rows


def main() -> None:
    """Simulate, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    tasks = [(name, impostors) for impostors in FARS for name in DISTRIBUTIONS]
    with ProcessPoolExecutor(options.workers) as pool:
        runs = pool.map(simulate, *zip(*tasks, strict=True), [options.repeats] * len(tasks))
        rows = [row for rows in tqdm(runs, total=len(tasks), disable=None) for row in rows]
    smallest: dict[tuple[str, int, float], list[float]] = {}
    for row in rows:
        key = row["metric"], row["pairs_of_each_kind"], row.get("far_target", 0.0)
        smallest.setdefault(key, []).append(row.get("coverage", float("nan")))
    for (metric, impostors, far), coverages in sorted(smallest.items()):
        at = f" at FAR {far:g}" if far else ""
        said = f"{min(coverages):.1%} to {max(coverages):.1%}" if coverages[0] > 0 else "unresolved"
        print(f"{metric}{at}, {impostors:,} pairs of each kind: {said}")
    write_json(RESULT, {"results": rows, "environment": asdict(environment())})


if __name__ == "__main__":
    main()
