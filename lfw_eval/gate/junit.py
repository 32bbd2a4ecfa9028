"""A gate's findings as JUnit XML, which CI systems show as tests."""

from xml.etree import ElementTree

from lfw_eval.gate.verdict import GateResult


def junit_xml(result: GateResult, *, doubt_fails: bool) -> bytes:
    """Return one test suite with a test case for each metric.

    A regression is a failure; what cannot be told is an error, or skipped where doubt passes.
    """
    doubt = "error" if doubt_fails else "skipped"
    tags = {"regressed": "failure", "cannot tell": doubt}
    verdicts = [finding.verdict for finding in result.findings]
    counts = {
        "tests": len(verdicts),
        "failures": verdicts.count("regressed"),
        "errors": verdicts.count("cannot tell") * doubt_fails,
        "skipped": verdicts.count("cannot tell") * (not doubt_fails),
    }
    suite = ElementTree.Element(
        "testsuite", {"name": "lfw-eval gate"} | {name: str(n) for name, n in counts.items()}
    )
    for finding in result.findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"gate.{result.candidate}", name=finding.metric
        )
        if finding.verdict in tags:
            ElementTree.SubElement(case, tags[finding.verdict], message=finding.reason)
        numbers = {
            "baseline": finding.baseline,
            "candidate": finding.candidate,
            "worse by": finding.worse_by,
            "p": finding.p_value,
        }
        stated = [f"{name} {value:.6g}" for name, value in numbers.items() if value is not None]
        ElementTree.SubElement(case, "system-out").text = "; ".join([*stated, finding.reason])
    ElementTree.indent(suite)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"
