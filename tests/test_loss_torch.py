"""Losses against independent references: the full forward pass, and stock TRL's KTO."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, MistralForCausalLM

from lib.config import load_config, load_size
from lib.errors import CannotRun
from lib.fast_torch import speed_up
from lib.kto_torch import both_logps
from lib.loss_torch import branch_logps, kto_losses, label_logps, row_logps, sft_loss
from lib.model_torch import TARGETS
from lib.rendering import IGNORED
from tests.tiny_model import write_tiny_model
from tests.trl_support import our_batch, stock_trl


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


@pytest.fixture(scope="module", params=["llama", "mistral"])
def either(request, folder, tmp_path_factory):
    """A tiny Llama, and a Mistral of the same size."""
    if request.param == "llama":
        return folder
    place = tmp_path_factory.mktemp("mistral")
    AutoTokenizer.from_pretrained(folder).save_pretrained(place)
    sizes = AutoModelForCausalLM.from_pretrained(folder).config.to_dict()
    names = (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "pad_token_id",
    )
    torch.manual_seed(5)
    config = MistralConfig(**{name: sizes[name] for name in names}, num_key_value_heads=2, sliding_window=None)
    MistralForCausalLM(config).save_pretrained(place)
    return place


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
def test_kto_loss_rewards_kl_and_gradients_equal_stock_trl(either, tmp_path, loss_type, shared):
    trainer, inputs = stock_trl(either, tmp_path, beta=0.3, desirable_weight=1.2, loss_type=loss_type)
    model = trainer.model.train()
    theirs = trainer._compute_loss(model, inputs, False)
    theirs.backward()
    wanted = gradients(model)
    model.zero_grad()
    batch = our_batch(inputs, shared)
    model.set_adapter("ref")
    with torch.no_grad():
        reference, reference_kl = both_logps(model, batch)
        per_row = trainer.compute_ref_log_probs(model, inputs)
    assert torch.allclose(reference, per_row[0], atol=1e-5)
    assert loss_type != "kto" or torch.allclose(reference_kl, per_row[1], atol=1e-5)
    model.set_adapter("default")
    policy, other = both_logps(model, batch)
    kl = (other - reference_kl).mean().clamp(min=0)
    assert not kl.requires_grad
    settings = {"beta": 0.3, "desirable_weight": 1.2, "loss_type": loss_type}
    config, _ = load_config("kto", load_size("7b", "cuda", "kto"), settings)
    labels = torch.tensor([bool(label) for label in inputs["label"]])
    losses, rewards = kto_losses(policy, reference, labels, kl, config)
    losses.mean().backward()
    assert torch.allclose(losses.mean(), theirs, atol=1e-5)
    logged = trainer._metrics["train"]
    assert kl.item() == pytest.approx(logged["kl"][-1], abs=1e-5)
    assert rewards[labels].mean().item() == pytest.approx(logged["rewards/chosen"][-1], abs=1e-5)
    assert rewards[~labels].mean().item() == pytest.approx(logged["rewards/rejected"][-1], abs=1e-5)
    assert abs(logged["rewards/chosen"][-1]) > 1e-4  # the policy did leave its reference
    found = gradients(model)
    assert found.keys() == wanted.keys() and len(found) == 2 * 2 * len(TARGETS)
    assert all(torch.allclose(found[name], wanted[name], atol=1e-5) for name in wanted)


@pytest.mark.parametrize("prompts", [[5, 5, 5], [1, 7, 3], [9, 2, 2]])
@pytest.mark.parametrize("fast", [False, True])
def test_a_branch_is_its_prompt_with_the_other_completion(either, prompts, fast):
    lora = LoraConfig(r=4, target_modules=TARGETS)  # fresh: both models compute what the base does
    model, plain = (
        get_peft_model(AutoModelForCausalLM.from_pretrained(either, dtype=torch.float32), lora).train()
        for _ in range(2)
    )
    if fast:
        speed_up(model)
    generator = torch.Generator().manual_seed(4)
    ids, others = (torch.randint(4, 260, (3, n), generator=generator) for n in (20, 12))
    labels, other_labels = ids.clone(), others.clone()
    labels[0, 15:] = other_labels[0, 8:] = other_labels[2, 2:4] = IGNORED
    for row, prompt in enumerate(prompts):
        labels[row, :prompt] = IGNORED
    labels[1] = IGNORED  # nothing of its own completion counts; its prompt is the branch's all the same
    own, branch = branch_logps(model, ids, labels, torch.tensor(prompts), others, other_labels)
    assert own.requires_grad and not branch.requires_grad
    assert torch.allclose(own, row_logps(plain, ids, labels), atol=1e-4)
    for row, prompt in enumerate(prompts):
        whole = torch.cat([ids[row, :prompt], others[row]])[None]
        wanted = torch.cat([torch.full((prompt,), IGNORED), other_labels[row]])[None]
        assert branch[row].item() == pytest.approx(row_logps(plain, whole, wanted).item(), abs=1e-4)


def test_the_shared_prefix_refuses_a_model_that_sees_a_window_only(folder):
    config = MistralConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=8,
    )  # fmt: skip
    ids = torch.ones(2, 4, dtype=torch.long)
    with pytest.raises(CannotRun, match="--no-shared-prefix"):
        branch_logps(MistralForCausalLM(config), ids, ids, torch.tensor([1, 1]), ids, ids)


def test_kto_by_hand():
    config, _ = load_config("kto", load_size("7b", "cuda", "kto"), {"beta": 0.5})
    losses, rewards = kto_losses(
        torch.tensor([-1.0, -3.0]), torch.tensor([-2.0, -2.0]), torch.tensor([True, False]), torch.tensor(0.4), config
    )
    # 1 - sigmoid(.5 * (1 - .4)) and 1 - sigmoid(.5 * (.4 + 1))
    assert losses.tolist() == pytest.approx([0.4255575, 0.3318122], abs=1e-6)
    assert rewards.tolist() == pytest.approx([0.5, -0.5])


def losses_at(ratios, kl, loss_type, desirable=True, beta=0.3):
    config, _ = load_config("kto", load_size("7b", "cuda", "kto"), {"beta": beta, "loss_type": loss_type})
    ratios = torch.as_tensor(ratios, dtype=torch.float64)
    return kto_losses(ratios, torch.zeros_like(ratios), torch.full(ratios.shape, desirable), kl, config)[0]


RATIOS = torch.linspace(-40, 40, 4001, dtype=torch.float64)


def test_kto_s_has_no_jump_and_treats_the_labels_as_mirror_images():
    kl, beta = 5.0, 0.3
    losses = losses_at(RATIOS, kl, "kto_s")
    steepest = beta * (1 + beta * kl) / 4  # of 1 - sigmoid(beta r + beta z tanh(beta r)), at r = 0
    assert losses.diff().abs().max() <= steepest * (RATIOS[1] - RATIOS[0]) * 1.0001
    assert (losses.diff() < 0).all(), "a better ratio never costs more"
    assert losses[2000].item() == pytest.approx(0.5), "at r = 0, where every row starts"
    assert torch.allclose(losses, losses_at(-RATIOS, kl, "kto_s", desirable=False))
    far = torch.sigmoid(-beta * (RATIOS + RATIOS.sign() * kl))
    assert torch.allclose(losses[RATIOS.abs() > 30], far[RATIOS.abs() > 30], rtol=1e-6)
    assert (far.diff().abs() > 0.3).any(), "the uncorrected sign does jump"


def test_kto_s_is_kto_where_there_is_no_kl():
    for desirable in (True, False):
        plain = losses_at(RATIOS, 0.0, "kto", desirable)
        assert torch.equal(losses_at(RATIOS, 0.0, "kto_s", desirable), plain)
        assert torch.equal(losses_at(RATIOS, 7.0, "apo_zero_unpaired", desirable), plain)


@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired", "kto_s"])
@pytest.mark.parametrize("desirable", [True, False])
def test_a_batch_of_one_label_has_a_finite_loss_and_gradient(loss_type, desirable):
    config, _ = load_config("kto", load_size("7b", "cuda", "kto"), {"loss_type": loss_type})
    policy = torch.tensor([0.0, -300.0, 1e4], requires_grad=True)
    labels = torch.full((3,), desirable)
    losses, _ = kto_losses(policy, torch.zeros(3), labels, torch.tensor(2.0), config)
    held = sft_loss(policy, torch.tensor([[IGNORED, 1, 2], [IGNORED, IGNORED, 3], [IGNORED, 4, 5]]), labels)
    (losses.mean() + held).backward()
    assert losses.isfinite().all() and policy.grad.isfinite().all()
    assert held.item() == pytest.approx(-(0 - 300 + 1e4) / 5 if desirable else 0.0)
