"""What the shared prefix saves, counted and not timed: floating-point operations of one training step beside TRL's."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.config import load_config, load_size
from lib.kto_torch import both_logps
from lib.loss_torch import kto_losses
from tests.tiny_model import write_tiny_model
from tests.trl_support import our_batch, stock_trl

ROWS = [
    ("Please put this down for me, and keep it where it can be found" + "." * n, "Done, it is down.", n < 2)
    for n in range(4)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def operations(step) -> int:
    with FlopCounterMode(display=False) as counter:
        step().backward()
    return counter.get_total_flops()


def test_a_step_costs_three_quarters_of_a_tuned_trl_step_and_less_than_half_of_a_default_one(folder, tmp_path):
    """At three quarters of prompt; the reference is known beforehand in ours and in the tuned step."""
    counts = {}
    for kind, settings in {
        "default": {"gradient_checkpointing": True},
        "tuned": {"precompute_ref_log_probs": True},
    }.items():
        trainer, inputs = stock_trl(folder, tmp_path / kind, ROWS, **settings)
        model = trainer.model.train()
        if kind == "default":
            model.gradient_checkpointing_enable({"use_reentrant": False})
        counts[kind] = operations(lambda: trainer._compute_loss(model, inputs, False))  # noqa: B023 - called at once
    prompt = inputs["completion_mask"].argmax(1).float().mean() / inputs["attention_mask"].sum(1).float().mean()
    assert 0.7 < prompt < 0.8
    config, _ = load_config("kto", load_size("7b", "cuda", "kto"), {})
    labels = torch.tensor([bool(label) for label in inputs["label"]])

    def ours(shared):
        policy, other = both_logps(model, our_batch(inputs, shared))
        return kto_losses(policy, inputs["ref_logps"], labels, other.mean().clamp(min=0), config)[0].mean()

    shared, apart = operations(lambda: ours(True)), operations(lambda: ours(False))
    assert shared <= 0.8 * counts["tuned"] and shared <= 0.45 * counts["default"]
    assert shared < 0.85 * apart
