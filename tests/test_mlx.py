"""MLX against PyTorch on the same weights: losses, KL, rewards, gradients, and whole short trainings."""

from dataclasses import replace

import pytest

pytest.importorskip("mlx_lm", exc_type=ImportError, reason="MLX is not installed: make test does it on Linux")
pytest.importorskip("trl", reason="compared with PyTorch's trainer, which the CPU platform installs")

import mlx.core as mx
import mlx.nn as nn
import mlx_lm
from mlx.utils import tree_flatten
from mlx_lm.tuner.trainer import grad_checkpoint

from lib import kto_mlx, kto_torch, loss_mlx, loss_torch, model_mlx, sft_mlx, sft_torch
from lib.training_mlx import Steps, resume
from lib.training_torch import tensors
from tests import mlx_support as support
from tests.training_jobs import torch_model

CLOSE = 1e-4
QUIET = type("Watcher", (), {"count": staticmethod(lambda tokens: None)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return support.write_model(tmp_path_factory.mktemp("mlx"))


@pytest.fixture(scope="module")
def pair(folder):
    """(torch model, its MLX twin); tests leave their weights alone."""
    model = torch_model(folder)
    return model, support.mlx_twin(model, folder)


def parts(rows):
    return [row.input_ids for row in rows], [row.labels for row in rows]


def grad(twin, function):
    value, found = nn.value_and_grad(twin, function)()
    return value, dict(tree_flatten(found))


def test_sft_loss_and_every_gradient_are_torchs(folder, pair, tmp_path):
    model, twin = pair
    job = support.make_job("sft", folder, tmp_path)
    pad = job.tokenizer.pad_token_id
    model.zero_grad()
    batch = tensors(*parts(job.rows[:3]), pad)
    logps, _, correct = loss_torch.label_logps(model, batch["input_ids"], batch["labels"])
    (-logps.mean()).backward()
    ours = sft_mlx.batch_of(job.rows[:3], pad)
    assert ours.labels == len(logps) and ours.tokens == int(batch["attention_mask"].sum())
    (value, right), found = grad(twin, lambda: sft_mlx.loss(twin, ours, ours.labels))
    assert value.item() == pytest.approx(-logps.mean().item(), abs=CLOSE)
    assert right.item() == correct.item()
    wanted = support.lora_of(model, gradients=True)
    assert support.worst(found, wanted) < CLOSE < max(mx.abs(value).max().item() for value in wanted.values())


def test_a_head_in_chunks_changes_nothing(folder, pair, tmp_path, monkeypatch):
    _, twin = pair
    job = support.make_job("sft", folder, tmp_path)
    batch = sft_mlx.batch_of(job.rows[:2], job.tokenizer.pad_token_id)
    (whole, right), wanted = grad(twin, lambda: sft_mlx.loss(twin, batch, batch.labels))
    monkeypatch.setattr(loss_mlx, "CHUNK", 100)
    assert batch.labels > 200
    (value, same), found = grad(twin, lambda: sft_mlx.loss(twin, batch, batch.labels))
    assert value.item() == pytest.approx(whole.item(), abs=1e-6) and same.item() == right.item()
    assert support.worst(found, wanted) < 1e-6
    monkeypatch.setattr(loss_mlx, "PLAIN_HEADS", set())  # a model whose head we do not know
    (value, _), found = grad(twin, lambda: sft_mlx.loss(twin, batch, batch.labels))
    assert value.item() == pytest.approx(whole.item(), abs=1e-6) and support.worst(found, wanted) < 1e-6


@pytest.mark.parametrize(
    "settings", [{}, {"loss_type": "kto_s", "sft_weight": 0.1}, {"loss_type": "apo_zero_unpaired"}]
)
def test_kto_loss_kl_rewards_and_gradients_are_torchs(folder, pair, tmp_path, settings):
    model, twin = pair
    job = support.make_job("kto", folder, tmp_path, **settings)
    pad, indices = job.tokenizer.pad_token_id, [0, 1, 2, 4]
    reference = torch_model(folder, seed=2)
    collate = kto_torch.Collator(job.rows, job.desirable, [indices], pad, job.config)
    collate.reference = kto_torch.reference_logps(reference, collate, [indices])
    batch = collate([{"index": i} for i in indices])
    model.zero_grad()
    policy, other = kto_torch.both_logps(model, batch)
    kl = (other - batch["reference_kl"]).mean().clamp(min=0)
    losses, rewards = loss_torch.kto_losses(policy, batch["reference"], batch["desirable"], kl, job.config)
    held = job.config.sft_weight * loss_torch.sft_loss(policy, batch["labels"], batch["desirable"])
    (losses.mean() + held).backward()

    pairs = kto_mlx.Pairs(job.rows, job.desirable, [indices], pad)
    known = kto_mlx.reference_logps(support.mlx_twin(reference, folder), pairs, [indices], job.config)
    for row, logps in collate.reference.items():
        assert known[row] == pytest.approx(logps, abs=CLOSE)
    step = kto_mlx.KtoGradients(twin, pairs, known, job.config, must_start_at_zero=False)
    loss, _, our_kl = step.objective(indices, 1.0)
    (value, our_rewards, our_policy), found = grad(twin, loss)
    assert value.item() == pytest.approx((losses.mean() + held).item(), abs=CLOSE)
    assert our_kl.item() == pytest.approx(kl.item(), abs=CLOSE)
    assert our_rewards.tolist() == pytest.approx(rewards.tolist(), abs=CLOSE)
    assert our_policy.tolist() == pytest.approx(policy.tolist(), abs=CLOSE)
    assert max(map(abs, rewards.tolist())) > 0.01, "the policy has left its reference"
    assert support.worst(found, support.lora_of(model, gradients=True)) < CLOSE


def steps_of(loop):
    """(loss, learning rate, gradient norm, other figures) of every step."""
    for step in range(loop.step, loop.steps.total):
        rate, norm = loop.advance(step, QUIET)
        figures = loop.meter.drain()
        yield {"learning_rate": rate, "grad_norm": norm, **figures}


@pytest.mark.parametrize("method", ["sft", "kto"])
def test_a_whole_training_takes_torchs_steps(method, folder, tmp_path):
    """Schedule, accumulation with a shorter last step, clipping, AdamW and logged figures, over two epochs."""
    job = support.make_job(method, folder, tmp_path)
    model = torch_model(folder)
    twin = support.mlx_twin(model, folder)
    if method == "sft":
        trainer = sft_torch.make_trainer(model, job.tokenizer, job.rows, job.config, job.run, "cpu")
    else:
        trainer = kto_torch.make_trainer(model, job.tokenizer, replace(job, platform="cpu"))
    trainer.train()
    theirs = [row for row in trainer.state.log_history if "loss" in row]
    ours = list(steps_of((sft_mlx if method == "sft" else kto_mlx).make_loop(twin, job)))
    assert len(ours) == len(theirs) == (6 if method == "sft" else 4)
    of_kto = ("kl", "rewards/chosen", "rewards/rejected", "logps/chosen")
    names = of_kto if method == "kto" else ("mean_token_accuracy",)
    for mine, other in zip(ours, theirs, strict=True):
        for name in ("loss", "grad_norm", *names):
            assert mine[name] == pytest.approx(other[name], abs=CLOSE), name
        assert mine["learning_rate"] == pytest.approx(other["learning_rate"], rel=1e-9)
    assert support.worst(model_mlx.trainable(twin), support.lora_of(model)) < CLOSE
    assert theirs[0]["loss"] != pytest.approx(theirs[-1]["loss"], abs=100 * CLOSE), "it did learn"


def test_a_resumed_kto_takes_the_same_steps(folder, tmp_path):
    model = torch_model(folder)
    job = support.make_job("kto", folder, tmp_path / "whole")
    wanted = list(steps_of(kto_mlx.make_loop(support.mlx_twin(model, folder), job)))
    job = replace(job, run=tmp_path / "stopped", resume=True)
    (job.run / "checkpoints").mkdir(parents=True)
    loop = kto_mlx.make_loop(support.mlx_twin(model, folder), job)
    for step in range(2):
        loop.advance(step, QUIET)
        loop.save()
    fresh = support.mlx_twin(model, folder)
    again = kto_mlx.make_loop(fresh, job)
    resume(again, job.run)
    again.meter.drain()
    assert again.step == 2 and list(steps_of(again)) == wanted[2:]


def test_a_four_bit_base_trains_its_lora(folder, tmp_path):
    mlx_lm.convert(str(folder), str(tmp_path / "base"), quantize=True, q_group_size=32, q_bits=4)
    job = support.make_job("sft", folder, tmp_path / "run", batch_size=4)
    model = model_mlx.add_lora(model_mlx.load_base(tmp_path / "base"), job.config)
    assert len(model.lora.keys) == 7 and "scales" in model.layers[0].mlp.up_proj.linear
    losses = [step["loss"] for step in steps_of(sft_mlx.make_loop(model, job))]
    assert losses[-1] < losses[0] - 0.01


def test_gradient_checkpointing_changes_nothing(folder, pair, tmp_path, monkeypatch):
    _, twin = pair
    job = support.make_job("sft", folder, tmp_path)
    batch = sft_mlx.batch_of(job.rows[:2], job.tokenizer.pad_token_id)
    (_, _), wanted = grad(twin, lambda: sft_mlx.loss(twin, batch, batch.labels))
    layer = type(twin.layers[0])
    monkeypatch.setattr(layer, "__call__", layer.__call__)  # it is replaced in the class
    grad_checkpoint(twin.layers[0])
    (_, _), found = grad(twin, lambda: sft_mlx.loss(twin, batch, batch.labels))
    assert support.worst(found, wanted) < 1e-6


def test_held_out_loss_is_torchs(folder, pair, tmp_path):
    model, twin = pair
    job = support.make_job("sft", folder, tmp_path)
    wanted = sft_torch.mean_loss(model, job.tokenizer, job.rows, 2)
    model.train()
    assert sft_mlx.mean_loss(twin, job.rows, job.tokenizer.pad_token_id, 2) == pytest.approx(wanted, abs=CLOSE)


def test_steps_cover_every_batch_of_every_epoch_once():
    steps = Steps(lambda epoch: [[10 * epoch + i] for i in range(5)], epochs=1.5, accumulation=2)
    groups = [steps.group(step) for step in range(steps.total)]
    assert groups == [[[0], [1]], [[2], [3]], [[4]], [[10], [11]], [[12], [13]]]
    assert steps.group(0) == groups[0], "a resumed run may ask in any order"


def test_the_scale_of_mlx_lm_is_alpha_over_rank(folder, pair):
    _, twin = pair
    assert twin.lora.scale == 2.0 and len(twin.lora.keys) == 7
