"""Losses against independent references: the full forward pass, and stock TRL's KTO."""

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import KTOConfig, KTOTrainer

from lib.config import load_config, load_size
from lib.loss_torch import kto_losses, label_logps, row_logps
from lib.model_torch import TARGETS
from lib.rendering import IGNORED
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(1)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights=False))
    return model.train()


def batch_of(lengths, prompt=5):
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(4, 260, (len(lengths), max(lengths)), generator=generator)
    mask = torch.tensor([[1] * n + [0] * (max(lengths) - n) for n in lengths])
    labels = ids.masked_fill(mask == 0, IGNORED)
    labels[:, :prompt] = IGNORED
    return ids, mask, labels


def test_the_head_on_labels_alone_gives_the_loss_and_gradients_of_the_full_forward(model):
    ids, mask, labels = batch_of([30, 18, 9])
    full = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    full.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    logps, rows, correct = label_logps(model, ids, labels)
    ours = -logps.mean()
    ours.backward()
    assert torch.allclose(ours, full, atol=1e-6)
    assert len(wanted) == 2 * len(TARGETS) * 2
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(parameter.grad, wanted[name], atol=1e-6), name
    assert rows.tolist() == [0] * 25 + [1] * 13 + [2] * 4
    assert 0 <= correct <= len(logps)


def test_padding_does_not_change_a_row(model):
    ids, _, labels = batch_of([30, 9])
    alone = row_logps(model, ids[1:, :9], labels[1:, :9])
    assert torch.allclose(row_logps(model, ids, labels)[1], alone[0], atol=1e-4)


PAIRS = [("Add a note.", "Done, it is added.", True), ("Move it.", "I moved nothing.", False)] * 2
PROMPTS = [("Read a.md", "It says milk.", True), ("Delete b.md", "Which b.md?", False), *PAIRS[:2]]


def test_kto_loss_rewards_and_kl_equal_stock_trl(folder, model, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [{"prompt": p, "completion": c, "label": label} for p, c, label in PROMPTS]
    settings = KTOConfig(
        str(tmp_path), per_device_train_batch_size=4, beta=0.3, desirable_weight=1.2, use_cpu=True, bf16=False,
        max_length=512, report_to="none", gradient_checkpointing=False,
    )  # fmt: skip
    trainer = KTOTrainer(model=model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    for name, parameter in model.named_parameters():
        if ".default." in name:  # a policy that has left its reference, which TRL copied before
            parameter.data += 0.05 * torch.randn_like(parameter)
    inputs = next(iter(trainer.get_train_dataloader()))
    with torch.no_grad():
        theirs = trainer._compute_loss(model.train(), inputs, False)
        own, other = (
            (inputs[f"{p}input_ids"], inputs[f"{p}input_ids"].masked_fill(inputs[f"{p}completion_mask"] == 0, IGNORED))
            for p in ("", "KL_")
        )  # fmt: skip
        policy, mismatched = row_logps(model, *own), row_logps(model, *other)
        model.set_adapter("ref")
        reference, reference_kl = row_logps(model, *own), row_logps(model, *other)
        model.set_adapter("default")
    kl = (mismatched - reference_kl).mean().clamp(min=0)
    config, _ = load_config("kto", load_size("7b", "cuda", "kto"), {"beta": 0.3, "desirable_weight": 1.2})
    labels = torch.tensor([bool(label) for label in inputs["label"]])
    losses, rewards = kto_losses(policy, reference, labels, kl, config)
    assert torch.allclose(losses.mean(), theirs, atol=1e-5)
    logged = trainer._metrics["train"]
    assert kl.item() == pytest.approx(logged["kl"][-1], abs=1e-5)
    assert rewards[labels].mean().item() == pytest.approx(logged["rewards/chosen"][-1], abs=1e-5)
    assert rewards[~labels].mean().item() == pytest.approx(logged["rewards/rejected"][-1], abs=1e-5)
    assert abs(logged["rewards/chosen"][-1]) > 1e-4  # the policy did leave its reference


def test_kto_by_hand():
    config, _ = load_config("kto", load_size("7b", "cuda", "kto"), {"beta": 0.5})
    losses, rewards = kto_losses(
        torch.tensor([-1.0, -3.0]), torch.tensor([-2.0, -2.0]), torch.tensor([True, False]), torch.tensor(0.4), config
    )
    # 1 - sigmoid(.5 * (1 - .4)) and 1 - sigmoid(.5 * (.4 + 1))
    assert losses.tolist() == pytest.approx([0.4255575, 0.3318122], abs=1e-6)
    assert rewards.tolist() == pytest.approx([0.5, -0.5])
