"""What a job refuses before it is begun."""

import pytest

from lfw_eval.checkpoints.checkpoint import Checkpoint
from lfw_eval.datasets.alignment import MtcnnAlignment
from lfw_eval.datasets.dataset import open_dataset
from lfw_eval.pipelines.job import Job
from lfw_eval.system.errors import UserError


def test_nothing_aligns_but_the_cpu_and_gpus(facenet: Checkpoint):
    dataset = open_dataset("celebrities", pairs_needed=False)
    with pytest.raises(UserError, match="`align_on` 'tpu' is unknown; take auto, cpu or gpu"):
        Job(dataset, MtcnnAlignment(), facenet, align_on="tpu")
