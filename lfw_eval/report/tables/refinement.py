"""Table of what refining a network for INT8 gains, step by step."""

from lfw_eval.results.calibration import RefinementDescription, StepDescription


def refinement_table(refinement: RefinementDescription) -> str:
    """Return the error of INT8 after calibration and after each step."""
    rows = (refinement.start, *refinement.steps)
    width = max(len(step.name) for step in rows) + 2
    lines = [
        "embeddings of INT8 against FP32, on "
        f"{refinement.held_out:,} of the calibration crops; steps are fitted on the other "
        f"{refinement.fitted:,}",
        f"{'':<{width}}{'mean cosine':>12}{'minimum':>10}{'SQNR, dB':>10}",
    ]
    lines += [f"{step.name:<{width}}{_cells(step)}" for step in rows]
    return "\n".join(lines)


def _cells(step: StepDescription) -> str:
    cells = f"{step.cosine:>12.5f}{step.minimum:>10.5f}{step.sqnr:>10.1f}"
    return cells if step.used else f"{cells}  undone: no gain"
