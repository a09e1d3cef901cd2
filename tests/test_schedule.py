"""The learning rate: transformers' linear schedule, a second stage, and the same trace after a stop."""

from dataclasses import replace

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from lib.config import load_config, load_size
from lib.schedule import rate_share
from lib.training_torch import PlannedMixin


def config_of(**settings):
    return load_config("kto", load_size("7b", "cuda", "kto"), settings)[0]


@pytest.mark.parametrize(("total", "warmup"), [(1, 0.0), (8, 0.25), (100, 0.1), (7, 0.05)])
def test_one_stage_is_transformers_linear_schedule(total, warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_linear_schedule_with_warmup(optimizer, -(-total * warmup // 1), total)
    config = config_of(warmup_fraction=warmup)
    for step in range(total):
        assert rate_share(config, total, step) == scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()


def test_the_second_stage_multiplies_the_rate_from_its_step_on():
    one, two = config_of(warmup_fraction=0.2), config_of(warmup_fraction=0.2, stage_step=6, stage_factor=0.25)
    shares = [rate_share(two, 10, step) for step in range(10)]
    assert shares == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 32, 3 / 32, 2 / 32, 1 / 32])
    assert shares[:6] == [rate_share(one, 10, step) for step in range(6)]
    assert rate_share(replace(two, stage_step=0), 10, 9) == 1 / 8


class Base:
    """What PlannedMixin expects of a trainer."""

    lr_scheduler = None

    def __init__(self, config):
        self.config = config
        self.optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))], lr=config.learning_rate)

    def create_scheduler(self, steps, optimizer=None):
        return self.lr_scheduler


class Trainer(PlannedMixin, Base):
    pass


def advance(trainer, steps):
    """The rate that the optimizer really uses in each of so many steps."""
    found = []
    for _ in range(steps):
        found.append(trainer.optimizer.param_groups[0]["lr"])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    return found


def test_the_scheduler_goes_on_from_a_saved_state(tmp_path):
    config = config_of(learning_rate=1e-3, stage_step=5, stage_factor=0.1)
    wanted = [config.learning_rate * rate_share(config, 9, step) for step in range(9)]
    first = Trainer(config)
    first.create_scheduler(9)
    head = advance(first, 4)
    torch.save([first.lr_scheduler.state_dict(), first.optimizer.state_dict()], tmp_path / "state.pt")
    again = Trainer(config)
    again.create_scheduler(9)
    schedule, optimizer = torch.load(tmp_path / "state.pt", weights_only=True)
    again.optimizer.load_state_dict(optimizer)
    again.lr_scheduler.load_state_dict(schedule)
    assert head + advance(again, 5) == pytest.approx(wanted)
