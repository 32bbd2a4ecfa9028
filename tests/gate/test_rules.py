"""Files of rules for the gate."""

import pytest

from lfw_eval.gate.rules import DEFAULT, CalibrationRule, MetricRule, Rules
from lfw_eval.system.errors import UserError


def test_rules_file(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(
        'significance = 0.01\ncannot_tell = "pass"\naligned_on = "any"\n'
        "[ACC]\nallowed_drop = 0.001\nfloor = 0.98\n"
        '[calibration]\nlist = "same"\nscales = 0.1\n'
    )
    rules = Rules.load(path)
    assert (rules.significance, rules.cannot_tell) == (0.01, "pass")
    assert (rules.aligned_on, DEFAULT.aligned_on) == ("any", "same")
    assert rules.metrics["ACC"] == MetricRule(0.001, 0.98)
    assert rules.metrics["VAL"] == DEFAULT.metrics["VAL"]
    assert rules.calibration == CalibrationRule(list="same", scales=0.1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[ACC", "is not TOML"),
        ("[acc]\n", "there is no 'acc'"),
        ("[ACC]\ndrop = 1", "has no 'drop'; choose from allowed_drop"),
        ("[ACC]\nallowed_drop = -1", "is invalid"),
        ("[ACC]\nallowed_drop = nan", "is invalid"),
        ("[ACC]\nallowed_drop = 0", "set never_worse = true instead"),
        ("ACC = 3", "must be a table"),
        ("significance = 2.0", "above 0 and below 0.5"),
        ('cannot_tell = "maybe"', "fail or pass"),
        ('aligned_on = "gpu"', "same or any"),
        ('[calibration]\nlist = "some"', "is invalid"),
    ],
)
def test_rules_that_are_wrong(tmp_path, text, sentence):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        Rules.load(path)
