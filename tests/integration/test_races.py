"""Real processes of one world at once, some killed: what is left is that of undisturbed runs."""

import random

import pytest
import race_campaign
from race_world import COMMANDS, STAGES, write_world

WITHOUT_DETECTOR = [command for command in COMMANDS if command[0] != "detect"]


@pytest.mark.slow
def test_processes_at_once_and_killed_ones_leave_what_one_leaves(tmp_path):
    write_world(tmp_path / "world")
    campaign = race_campaign.Campaign(tmp_path / "world", tmp_path)
    campaign.round("align", STAGES["align"], 3, False, random.Random(1))
    campaign.round("calibrate", STAGES["calibrate"], 3, True, random.Random(2))
    assert campaign.failures == []
    assert (campaign.counts["rounds"], campaign.counts["processes"]) == (2, 6)


def test_the_plan_of_a_round():
    chance = random.Random(1)
    processes = race_campaign.plan(WITHOUT_DETECTOR, 8, 3.0, True, chance)
    assert [process.start for process in processes] == sorted(p.start for p in processes)
    assert processes[0].start == 0
    assert all(process.start <= 3 for process in processes)
    assert 1 <= sum(process.end is not None for process in processes) <= 6
    assert all(p.end is None for p in race_campaign.plan(COMMANDS, 4, 3.0, False, chance))
