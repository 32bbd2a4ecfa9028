"""The verb doctor: what this machine has."""

from lfw_eval.cli.errors import as_options
from lfw_eval.doctor.probes import diagnose
from lfw_eval.report.tables.doctor import doctor_table


def doctor_command() -> None:
    """Show what this machine has: runtimes, GPUs, data and checkpoints."""
    print(as_options(doctor_table(diagnose()), {}))
