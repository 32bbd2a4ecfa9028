"""What a gate allows: a small TOML file, or the defaults."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from lfw_eval.system.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Metric = Literal["ACC", "AUC", "EER", "VAL", "FPS", "AP"]


@dataclass(frozen=True)
class MetricRule:
    """The rule for one metric.

    Attributes:
        allowed_drop: How much worse it may be, above 0: 0.002 is 0.2 points; for FPS, 0.1 is a
            tenth of the baseline. For EER, where lower is better, it is a rise.
        floor: The minimum, whatever the baseline has; for EER the maximum.
        never_worse: Whether any loss is a regression, even of a single pair.
    """

    allowed_drop: float
    floor: float | None = None
    never_worse: bool = False


@dataclass(frozen=True)
class CalibrationRule:
    """What may differ in how INT8 was made.

    Attributes:
        list: "same" refuses another list of calibration images.
        engine: "same" refuses another engine key: other weights, scales, options, runtime version
            or device.
        scales: Largest relative change of a tensor's threshold; None allows any.
    """

    list: Literal["same", "any"] = "any"
    engine: Literal["same", "any"] = "any"
    scales: float | None = None


def _defaults() -> dict[Metric, MetricRule]:
    return {
        "ACC": MetricRule(0.002),
        "AUC": MetricRule(0.001),
        "EER": MetricRule(0.003),
        "VAL": MetricRule(0.02),
        "AP": MetricRule(0.01),
    }


@dataclass(frozen=True)
class Rules:
    """All rules of a gate.

    Attributes:
        significance: Of all tests together: the chance of a false alarm is at most this.
        cannot_tell: Whether doubt blocks a release ("fail") or not ("pass").
        min_int8: The candidate's smallest share of multiply-adds in INT8; None allows any. It is
            `least_int8` in the file.
        aligned_on: "any" compares crops of the same photographs and alignment though the faces'
            detector ran on different devices; "same" refuses them.
        metrics: By metric; FPS is judged only where it is there.
    """

    significance: float = 0.05
    cannot_tell: Literal["fail", "pass"] = "fail"
    min_int8: float | None = None
    aligned_on: Literal["same", "any"] = "same"
    metrics: Mapping[Metric, MetricRule] = field(default_factory=_defaults)
    calibration: CalibrationRule = CalibrationRule()

    def asked(self, metric: Metric) -> bool:
        """Return whether a metric's rule differs from the default."""
        return self.metrics.get(metric) != _defaults().get(metric)

    @staticmethod
    def load(path: str | Path) -> "Rules":
        """Read rules; what the file does not mention keeps its default.

        Raises:
            UserError: The file is missing, is not TOML, or has an invalid name or value.
        """
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"`rules` {path} cannot be read ({error.strerror})", "give a TOML file"
            ) from error
        except ValueError as error:
            raise UserError(f"`rules` {path} is not TOML ({error})", "see the README") from error
        metrics = _defaults()
        if "FPS" in content:
            metrics["FPS"] = _FPS
        names = {"significance", "cannot_tell", "least_int8", "aligned_on"}
        names |= {"calibration", "FPS", *metrics}
        if unknown := content.keys() - names:
            raise UserError(
                f"`rules` {path}: there is no '{min(unknown)}'",
                f"choose from {', '.join(sorted(names))}",
            )
        for metric, rule in metrics.items():
            metrics[metric] = _with(rule, content.get(metric, {}), f"`rules` {path}: [{metric}]")
        calibration = content.get("calibration", {})
        return Rules(
            significance=_significance(content.get("significance", 0.05), path),
            cannot_tell=_choice(content, "cannot_tell", ("fail", "pass"), path),
            min_int8=_share(content.get("least_int8"), path),
            aligned_on=_choice(content, "aligned_on", ("same", "any"), path),
            metrics=metrics,
            calibration=_with(CalibrationRule(), calibration, f"`rules` {path}: [calibration]"),
        )


_FPS = MetricRule(0.1)
"""Where a file has a table [FPS]."""

DEFAULT = Rules()
"""The rules without a file."""


def _with(rule: Any, values: Any, where: str) -> Any:
    """Return the rule with the values of the file."""
    names = [field.name for field in fields(rule)]
    if not isinstance(values, dict):
        raise UserError(f"{where} must be a table with any of {', '.join(names)}")
    for name, value in values.items():
        if name not in names:
            raise UserError(f"{where} has no '{name}'", f"choose from {', '.join(names)}")
        if name in ("list", "engine"):
            fits = value in ("same", "any")
        elif name == "never_worse":
            fits = isinstance(value, bool)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            # All are rates, except the floor of FPS; 40 would be meant as 40 percent.
            fits = fits and value < (math.inf if where.endswith("[FPS]") and name == "floor" else 1)
        if name == "allowed_drop" and value == 0:
            raise UserError(
                f"{where} allowed_drop = 0 can never be shown to hold",
                "set never_worse = true instead",
            )
        if not fits:
            range_of = "from 0 to below 1 (0.002 is 0.2 points)"
            choices = {"list": '"same" or "any"', "engine": '"same" or "any"'}
            valid = {**choices, "never_worse": "true or false"}.get(name, range_of)
            raise UserError(f"{where} {name} = {value!r} is invalid", f"give {valid}")
    return replace(rule, **values)


def _significance(value: Any, path: str | Path) -> float:
    if not isinstance(value, float) or not 0 < value < 0.5:
        raise UserError(f"`rules` {path}: significance must be above 0 and below 0.5, not {value}")
    return value


def _share(value: Any, path: str | Path) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value <= 1):
        raise UserError(
            f"`rules` {path}: least_int8 must be above 0 and at most 1, not {value!r}",
            "0.9 is 90 percent of the multiply-adds",
        )
    return None if value is None else float(value)


def _choice(
    content: Mapping[str, Any], name: str, choices: tuple[str, str], path: str | Path
) -> Any:
    """Return the value of a name, by default the first choice."""
    value = content.get(name, choices[0])
    if value not in choices:
        raise UserError(f"`rules` {path}: {name} must be {' or '.join(choices)}, not {value}")
    return value
