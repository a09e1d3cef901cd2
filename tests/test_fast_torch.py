"""The fast layers give the plain layers' outputs and gradients."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from lib import fast_torch
from lib.fast_torch import RowsAttention, past_attention, speed_up
from lib.loss_torch import label_logps
from lib.model_torch import TARGETS
from lib.rendering import IGNORED
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def gradients(folder, fast, dtype=torch.float32, dropout=0.0):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=TARGETS, init_lora_weights=False)
    model = get_peft_model(model, lora)
    changed = speed_up(model) if fast else 0
    ids = torch.randint(4, 260, (3, 40), generator=torch.Generator().manual_seed(2))
    loss = -label_logps(model, ids, ids)[0].mean()
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, changed


def test_loss_and_every_gradient_are_equal_in_fp32(folder):
    plain, wanted, _ = gradients(folder, fast=False)
    fast, found, changed = gradients(folder, fast=True)
    assert changed == 2 * len(TARGETS) + 5  # 7 linears and 2 norms a layer, and the last norm
    assert fast == pytest.approx(plain, abs=1e-6)
    assert wanted.keys() == found.keys() and len(wanted) == 2 * 2 * len(TARGETS)
    for name in wanted:
        assert torch.allclose(found[name], wanted[name], atol=1e-6), name


def test_bf16_weights_stay_close_and_gradients_are_fp32(folder):
    plain, wanted, _ = gradients(folder, fast=False, dtype=torch.bfloat16)
    fast, found, _ = gradients(folder, fast=True, dtype=torch.bfloat16)
    assert fast == pytest.approx(plain, abs=2e-2)
    assert all(gradient.dtype == torch.float32 for gradient in found.values())
    total = torch.cat([(found[n] - wanted[n]).flatten() for n in wanted]).norm()
    assert total < 0.05 * torch.cat([g.flatten() for g in wanted.values()]).norm()


def test_layers_with_dropout_keep_the_plain_way(folder):
    assert gradients(folder, fast=True, dropout=0.1)[2] == 5  # the norms alone


def test_a_disabled_adapter_gives_the_base_model(folder):
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.arange(4, 44)[None]
    with torch.no_grad():
        wanted = base(ids).logits
        lora = LoraConfig(r=4, target_modules=TARGETS, init_lora_weights=False)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), lora)
        speed_up(model)
        with model.disable_adapter():
            assert torch.allclose(model(ids).logits, wanted, atol=1e-5)
        assert not torch.allclose(model(ids).logits, wanted, atol=1e-3)


def random_rows(heads, kv_heads, tokens, keys):
    torch.manual_seed(3)
    sizes = ((tokens, heads), (keys, kv_heads), (keys, kv_heads), (tokens, heads))
    return [torch.randn(*size, 16, requires_grad=place < 3) for place, size in enumerate(sizes)]


def pytorchs_own(q, k, v):
    """Of one row; q: (length, heads, d)."""
    seen = torch.ones(len(q), len(k), dtype=torch.bool).tril(len(k) - len(q))
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    found = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    return found[0].transpose(0, 1)


@pytest.mark.parametrize("longest", [1024, 20])
@pytest.mark.parametrize("lengths", [[5], [128, 128], [300, 7, 31, 290, 1]])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (6, 2), (9, 3)])
def test_attention_in_rows_equals_pytorchs_own(monkeypatch, heads, kv_heads, lengths, longest):
    monkeypatch.setattr(fast_torch, "LONGEST", longest)  # beyond it probabilities are made anew
    *rows, up = random_rows(heads, kv_heads, sum(lengths), sum(lengths))
    wanted = torch.cat([pytorchs_own(*row) for row in zip(*(x.split(lengths) for x in rows), strict=True)])
    found = RowsAttention.apply(*rows, lengths, 16**-0.5)
    assert torch.allclose(found, wanted, atol=1e-6)
    for ours, theirs in zip(*(torch.autograd.grad(out, rows, up) for out in (found, wanted)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_rows_with_a_past_see_it_and_themselves():
    q, k, v, _ = random_rows(6, 2, 139, 60 + 139)
    with torch.no_grad():
        found = past_attention(q, k, v, [130, 9], [(20, 60), (0, 1)], 16**-0.5)
        for own, past in ((slice(0, 130), slice(20, 60)), (slice(130, 139), slice(0, 1))):
            behind = slice(60 + own.start, 60 + own.stop)
            wanted = pytorchs_own(q[own], *(torch.cat([x[past], x[behind]]) for x in (k, v)))
            assert torch.allclose(found[own], wanted, atol=1e-6)


def test_attention_with_a_mask_or_a_cache_is_transformers_own(folder):
    ids = torch.arange(4, 44).view(2, 20)
    mask = torch.ones_like(ids)
    mask[0, :7] = 0  # padding on the left, as in generation
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    fast = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    speed_up(fast)
    assert fast.config._attn_implementation == "causal_rows"
    with torch.no_grad():
        assert torch.allclose(
            fast(ids, attention_mask=mask).logits[:, 7:], plain(ids, attention_mask=mask).logits[:, 7:], atol=1e-5
        )
        asked = {"max_new_tokens": 5, "do_sample": False, "attention_mask": mask}
        assert torch.equal(fast.generate(ids, **asked), plain.generate(ids, **asked))


PACKS = [[7, 30, 3], [12, 28]]  # lengths of the rows; the last of each may be padding


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("longest", [1024, 20])
def test_a_pack_gives_the_log_probabilities_and_gradients_of_its_rows_alone(folder, monkeypatch, fast, longest):
    monkeypatch.setattr(fast_torch, "LONGEST", longest)  # beyond it rows take PyTorch's kernel
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights=False))
    if fast:
        speed_up(model)
    ids = torch.randint(4, 260, (2, 40), generator=torch.Generator().manual_seed(2))
    labels, places = ids.clone(), torch.empty_like(ids)
    alone = []
    for pack, lengths in enumerate(PACKS):
        end = 0
        for length in lengths:
            start, end = end, end + length
            places[pack, start:end] = torch.arange(length)
            labels[pack, start] = IGNORED
            alone.append(label_logps(model, ids[pack, None, start:end], ids[pack, None, start:end])[0])
    wanted = torch.cat(alone)
    (-wanted.mean()).backward()
    slopes = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    found, rows, _ = label_logps(model, ids, labels, places)
    assert rows.tolist() == [0] * 37 + [1] * 38
    assert torch.allclose(found, wanted, atol=1e-5)
    (-found.mean()).backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(parameter.grad, slopes[name], atol=1e-6), name


@pytest.mark.parametrize(
    "settings", [{"attn_logit_softcapping": 5.0}, {"attention_dropout": 0.1}, {"sliding_window": 8}]
)
def test_other_attention_than_plain_stays_as_it_is(folder, settings):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, value in settings.items():
        setattr(model.config, name, value)
    speed_up(model)
    assert model.config._attn_implementation == "sdpa"


def test_padding_costs_nothing(folder):
    """Operations of a padded batch are those of its rows one by one."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    speed_up(model)
    ids = torch.randint(4, 260, (3, 90), generator=torch.Generator().manual_seed(2))
    labels = ids.clone()
    for row, length in enumerate((90, 31, 8)):
        labels[row, length:] = IGNORED

    def operations(*batch):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            label_logps(model, *batch)
        return counter.get_total_flops()

    alone = [operations(ids[row, None, :length], labels[row, None, :length]) for row, length in enumerate((90, 31, 8))]
    assert operations(ids, labels) == sum(alone)
