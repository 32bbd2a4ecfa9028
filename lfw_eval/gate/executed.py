"""Whether enough of the candidate's arithmetic really runs in INT8."""

from collections.abc import Iterator

from lfw_eval.gate.verdict import Finding, Verdict
from lfw_eval.results.engine import EngineDescription
from lfw_eval.results.executed import percent

_METRIC = "INT8"


def int8_findings(engine: EngineDescription, min_share: float | None) -> Iterator[Finding]:
    """Judge the share of an engine's multiply-adds that is INT8, where the rules ask for one."""
    if min_share is None:
        return
    share = engine.executed.share("int8") if engine.executed else None
    yield int8_finding(share, min_share, engine.runtime)


def int8_finding(share: float | None, min_share: float, runtime: str) -> Finding:
    """Judge the share of the multiply-adds that is INT8; None where it is not reported."""
    verdict: Verdict
    if share is None:
        verdict, reason = "cannot tell", f"{runtime} does not report the types that it computes in"
    else:
        verdict = "passed" if share >= min_share else "regressed"
        reason = f"{percent(share)} of the multiply-adds run in int8"
        reason += f", and at least {min_share:.4g} of them must"
    return Finding(_METRIC, verdict, None, share, None, None, None, None, reason)
