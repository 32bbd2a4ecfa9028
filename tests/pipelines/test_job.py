"""What a job refuses before it is begun."""

from dataclasses import replace

import pytest

from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.datasets.alignment import MtcnnAlignment
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.engines.choice import choose_engine
from lfw_eval.pipelines.job import Job
from lfw_eval.system.errors import UserError


def test_nothing_aligns_but_the_cpu_and_gpus(facenet: Checkpoint):
    dataset = open_dataset("celebrities", pairs_needed=False)
    with pytest.raises(UserError, match="`align_on` 'tpu' is unknown; take auto, cpu or gpu"):
        Job(dataset, MtcnnAlignment(), facenet, align_on="tpu")


@pytest.mark.parametrize(
    ("precision", "options", "problem"),
    [
        ("fp16", {}, "`refine` is for `precision` int8, not fp16"),
        ("int8", {"calibration_cache": "old.cache"}, "the scales of this engine come from elsew"),
    ],
)
def test_refines_nothing_but_what_is_calibrated(facenet: Checkpoint, precision, options, problem):
    dataset = open_dataset("celebrities", pairs_needed=False)
    engine = choose_engine("openvino", precision, **options)
    job = Job(dataset, MtcnnAlignment(), facenet, engine, refine=True)
    with pytest.raises(UserError, match=problem):
        job.check_refine()
    replace(job, refine=False).check_refine()
    replace(job, engine=choose_engine("openvino", "int8")).check_refine()
