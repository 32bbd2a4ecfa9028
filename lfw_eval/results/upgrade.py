"""Upgrade of result files from earlier schemas."""

import re
from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = 7

# In schema 3 a sentence stood where schema 4 has a word or numbers.
_CAUTIONS = (("This is NOT LFW", "stand-in"), ("The crops were aligned for ArcFace", "resized"))
_CALIBRATED = re.compile(r"calibrated on (\d+) images, (\d+) OF THEM ALSO EVALUATED")
_CACHE = re.compile(r"(.*) \(sha256 (\w+)\)")


def upgrade(schema: int, kind: str, result: dict[str, Any]) -> None:
    """Turn a result of an earlier schema, as its JSON has it, into one of today's, in place.

    Args:
        schema: A key of `UPGRADES`, or today's.

    Raises:
        KeyError: A field of that schema is missing.
    """
    for step in range(schema, SCHEMA):
        UPGRADES[step](kind, result)


def _from_3(kind: str, result: dict[str, Any]) -> None:
    if kind == "accuracy":
        remark = result["data"].pop("remark")
        cautions = (caution for start, caution in _CAUTIONS if remark.startswith(start))
        result["data"]["caution"] = next(cautions, "")
        for engine_pass in filter(None, (result["reference"], result["candidate"])):
            engine_pass["from_cache"] = engine_pass.pop("kept")
    for report in _detections(kind, result):
        _upgrade_settings(report["settings"])


def _from_4(kind: str, result: dict[str, Any]) -> None:
    """Add what schema 5 has in addition."""
    if calibration := result.get("calibration"):
        calibration |= dict.fromkeys(("people", "evaluated_people", "first_batch"))
    if comparison := result.get("comparison"):
        # The change of ACC was judged by McNemar's test and the standard error of ten folds.
        comparison["mcnemar_p"] = comparison.pop("p_value")
        comparison["accuracy_change"] = {
            "value": comparison.pop("accuracy_difference")["value"],
            "standard_error": None,
            "interval": [None, None],
            "p_value": None,
            "method": "",
        }
    for report in _detections(kind, result):
        report["clipped"] = None
    for described in _engines(kind, result):
        described["engine"]["executed"] = None
        described["engine"]["adaptation"] = ""
        if "verification" in described:
            # Intervals of VAL were too narrow.
            described["verification"]["val"]["interval"] = None
    if "model" in result:
        result["model"]["quantization"] = None
    if kind == "accuracy":
        result["candidate_model"] = None
        result["speed"] = None
    for speed in _speeds(kind, result):
        speed["windows"] = None


def _from_5(kind: str, result: dict[str, Any]) -> None:
    """Add what schema 6 has in addition."""
    for model in filter(None, (result.get("model"), result.get("candidate_model"))):
        model["own_normalisation"] = None


def _from_6(kind: str, result: dict[str, Any]) -> None:
    """Add what schema 7 has in addition."""
    if calibration := result.get("calibration"):
        calibration["refinement"] = None
    for described in _engines(kind, result):
        described["engine"]["refinement"] = ""


def _engines(kind: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what has an engine's description in a result."""
    described: dict[str, list[dict[str, Any] | None]] = {
        "accuracy": [result.get("reference"), result.get("candidate")],
        "speed": result.get("engines", []),
    }
    return [item for item in described.get(kind, []) if item]


def _detections(kind: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of detectors in a result."""
    reports: dict[str, list[dict[str, Any]]] = {
        "accuracy": result.get("detection", []),
        "detection": [result],
    }
    return reports.get(kind, [])


def _speeds(kind: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the speeds of engines by batch size in a result."""
    speeds = [report["speed"] for report in _detections(kind, result) if report.get("speed")]
    if kind == "speed":
        speeds += [speed for measured in result["engines"] for speed in measured["speeds"]]
    return speeds


def _upgrade_settings(settings: dict[str, str | float | int]) -> None:
    if "least score" in settings:
        settings["min_score"] = settings.pop("least score")
    scales = str(settings.pop("scales", ""))
    if calibrated := _CALIBRATED.fullmatch(scales):
        settings["calibration_images"] = int(calibrated[1])
        settings["calibration_evaluated"] = int(calibrated[2])
    elif cache := _CACHE.fullmatch(scales):
        settings["calibration_cache"], settings["calibration_cache_sha256"] = cache.groups()


UPGRADES: Mapping[int, Callable[[str, dict[str, Any]], None]] = {
    3: _from_3,
    4: _from_4,
    5: _from_5,
    6: _from_6,
}
"""What makes the next schema of each, by its number."""
