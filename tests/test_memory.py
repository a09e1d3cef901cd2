"""Memory forecasts against published measurements, by hand, and against what a training must not exceed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lib.budgets import Place, judge
from lib.config import load_config, load_size
from lib.errors import CannotRun
from lib.memory import GIB, Plan, fitting, flags, forecast, largest_batch, largest_length, plan_of, read_shape, total
from lib.model_config import shape_of
from lib.trials import probe, summary
from scripts import bench_memory
from scripts.fit import main as fit


def decoder(hidden, layers, heads, kv_heads, ffn, vocabulary, **more):
    """The shape that such a config.json describes."""
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
    config = dict(zip(names, (hidden, layers, heads, kv_heads, ffn), strict=True))
    return read_shape(config | {"vocab_size": vocabulary} | more, "")


LLAMA_8B = decoder(4096, 32, 32, 8, 14336, 128256)
QWEN_4B = decoder(2560, 36, 32, 8, 9728, 151936, head_dim=128, tie_word_embeddings=True)
LLAMA2_7B, LLAMA2_13B = decoder(4096, 32, 32, 32, 11008, 32000), decoder(5120, 40, 40, 40, 13824, 32000)
MISTRAL_7B, TINY_LLAMA = decoder(4096, 32, 32, 8, 14336, 32000), decoder(2048, 22, 32, 4, 5632, 32000)
ALLOCATED = ("runtime", "slack")  # what PyTorch's allocator does not count


def card(weights, rank, batch, length, checkpointing=True, adapter="fp32", chunked=False):
    """A training on a GPU; unless chunked, logits of all positions exist at once."""
    return Plan("cuda", weights, adapter, rank, batch, length, 1, checkpointing, chunked)


# Peaks that the constants were fitted on: torchtune's table for an RTX 4090 (README; batch 2, packed to 2048, rank 8,
# chunked loss; the allocator's peak), and ms-swift's ten-minute demo on an RTX 3090 (README; what nvidia-smi shows).
FITTED = [
    (LLAMA_8B, card("nf4", 8, 2, 2048, adapter="bf16", chunked=True), 7.4 * GIB, ALLOCATED),
    (LLAMA_8B, card("bf16", 8, 2, 2048, adapter="bf16", chunked=True), 16.2 * GIB, ALLOCATED),
    (QWEN_4B, card("bf16", 8, 1, 2048), 13e9, ()),
]
# Peaks that nothing was fitted on, GB.
HELD_OUT = [
    # foundation-model-stack/fms-acceleration, scripts/benchmarks/refs/a100_80gb.csv: packed to 4096, trl's SFTTrainer.
    (MISTRAL_7B, card("bf16", 16, 4, 4096), 26.11, ALLOCATED),
    (MISTRAL_7B, card("bf16", 16, 8, 4096), 37.10, ALLOCATED),
    (MISTRAL_7B, card("nf4", 16, 4, 4096), 15.86, ALLOCATED),
    (MISTRAL_7B, card("nf4", 16, 8, 4096), 26.85, ALLOCATED),
    # Lightning-AI/litgpt, tutorials/resource-tables.md: its longest row has 1304 tokens.
    *[
        (shape, card(weights, 8, batch, 1304, False, "bf16"), peak, ALLOCATED)
        for shape, weights, batch, peak in (
            (LLAMA2_7B, "bf16", 1, 21.30), (LLAMA2_7B, "bf16", 2, 29.07), (LLAMA2_7B, "nf4", 1, 13.84),
            (LLAMA2_13B, "bf16", 1, 38.12), (LLAMA2_13B, "nf4", 1, 22.55),
        )
    ],
    # The same, config_hub/finetune/README.md; its QLoRA of TinyLlama is left out: more than its LoRA, their issue 1112.
    *[
        (shape, card(weights, 32, batch, 512, False, "bf16"), peak, ALLOCATED)
        for shape, weights, batch, peak in (
            (LLAMA2_7B, "bf16", 2, 19.77), (LLAMA2_7B, "nf4", 2, 13.68), (LLAMA_8B, "bf16", 1, 19.73),
            (LLAMA_8B, "nf4", 2, 17.41), (MISTRAL_7B, "bf16", 2, 20.66), (MISTRAL_7B, "nf4", 2, 14.29),
            (TINY_LLAMA, "bf16", 8, 13.50),
        )
    ],
    # hiyouga/LLaMA-Factory, wiki "Performance comparison", rows of Hugging Face with FlashAttention 2, in whole GB.
    (LLAMA2_7B, card("bf16", 8, 4, 1024), 17, ()),
    *[
        (LLAMA2_7B, card("nf4", 8, 1, length), peak, ())
        for length, peak in ((1024, 6), (2048, 7), (4096, 9), (8192, 12), (16384, 19), (32768, 32))
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    "shape, plan, measured, left_out",
    FITTED + [(shape, plan, 1e9 * peak, left_out) for shape, plan, peak, left_out in HELD_OUT],
)
def test_published_gpu_peaks_are_met_within_a_fifth(shape, plan, measured, left_out):
    parts = forecast(shape, plan)
    assert sum(value for name, value in parts.items() if name not in left_out) == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize("case", bench_memory.FITTED + bench_memory.HELD_OUT, ids=str)
def test_peaks_measured_on_the_cpu_are_met(case):
    """As `python -m scripts.bench_memory` measured them: within 15 %, but for one that is forecast too high."""
    off = bench_memory.forecast(case) / case.measured - 1
    known = case.base == "SmolLM2-360M" and case.settings == bench_memory.CHECKPOINTS
    assert bench_memory.LOWEST <= off <= (bench_memory.HIGHEST if known else 0.15)


def test_parameters_are_those_of_the_models():
    assert LLAMA_8B.parameters == pytest.approx(8.03e9, rel=1e-3)
    assert QWEN_4B.parameters == pytest.approx(4.02e9, rel=2e-3)
    shapes = {name: shape_of(name) for name in yaml.safe_load(Path("configs/shapes.yaml").read_text())}
    published = {"SmolLM2": 134.5e6, "Llama": 3.21e9, "Mistral": 7.25e9, "Qwen2.5": 14.77e9, "gpt-oss": 20.9e9}
    assert {name.split("-1")[0].split("-3")[0].split("-7")[0].split("-2")[0] for name in shapes} == set(published)
    for name, shape in shapes.items():
        wanted = next(value for start, value in published.items() if name.startswith(start))
        assert shape.parameters == pytest.approx(wanted, rel=0.01), name


def test_parameters_and_adapters_are_those_that_torch_counts(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from lib.config import TARGETS
    from tests.tiny_model import write_tiny_model

    folder = write_tiny_model(tmp_path / "model")
    shape, model = shape_of(str(folder)), AutoModelForCausalLM.from_pretrained(folder)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    model = get_peft_model(model, LoraConfig(r=6, target_modules=TARGETS))
    assert shape.adapter_parameters(6) == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_every_size_has_a_shape_on_every_platform():
    for size in ("tiny", "3b", "7b", "13b", "20b"):
        for platform in ("cuda", "mlx", "cpu"):
            base = load_size(size, platform, "sft").base
            config, _ = load_config("sft", load_size(size, platform, "sft"), {})
            assert total(shape_of(base), plan_of(shape_of(base), platform, config)) > 0, base


def test_what_a_seven_b_takes_on_the_usual_card():
    """SPEC expects 7 to 9 GB; our own recipe has longer rows in memory at once, so batch 6 needs the flags."""
    config, _ = load_config("sft", load_size("7b", "cuda", "sft"), {"batch_size": 1})
    plan = plan_of(shape_of("unsloth/mistral-7b-instruct-v0.3-bnb-4bit"), "cuda", config)
    assert plan.weights == "nf4" and plan.adapter == "8bit"
    assert 5e9 < total(shape_of("mistral-7b-instruct-v0.3-bnb-4bit"), replace(plan, checkpointing=True)) < 9e9


PLAN = Plan("cuda", "nf4", "8bit", 32, 6, 2048, 4)


def test_the_largest_batch_and_row_fit_and_one_more_does_not():
    budget = 23 * GIB
    batch, length = largest_batch(LLAMA_8B, PLAN, budget), largest_length(LLAMA_8B, PLAN, budget)
    assert total(LLAMA_8B, replace(PLAN, batch=batch)) <= budget < total(LLAMA_8B, replace(PLAN, batch=batch + 1))
    assert total(LLAMA_8B, replace(PLAN, batch=1, length=length)) <= budget
    assert total(LLAMA_8B, replace(PLAN, batch=1, length=length + 64)) > budget
    assert largest_batch(LLAMA_8B, PLAN, budget, factor=2.0) < batch
    assert largest_batch(LLAMA_8B, PLAN, 1 * GIB) == largest_length(LLAMA_8B, PLAN, 1 * GIB) == 0


@pytest.mark.parametrize("budget", [8, 10, 12, 16, 23, 100])
def test_the_flags_lead_to_a_plan_that_fits_with_the_same_update(budget):
    way = fitting(LLAMA_8B, PLAN, budget * GIB)
    new, words = way
    assert total(LLAMA_8B, new) <= budget * GIB and new.batch * new.accumulation == PLAN.batch * PLAN.accumulation
    assert words == flags(PLAN, new) and (words == []) == (new == PLAN)
    assert new.length == PLAN.length or new.checkpointing, "rows are left out last"


def test_what_cannot_fit_is_said():
    assert fitting(LLAMA_8B, PLAN, 4 * GIB) is None
    found = judge(Place("a card", "cuda", 4 * GIB), "7b", "sft", "", {})
    assert not found["fits"] and not found["flags"] and found["longest_row"] == 0


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "not JSON"),
        ("[]", "holds no object"),
        ('{"hidden_size": 64}', "no whole number for num_hidden_layers"),
        ('{"hidden_size": "64"}', "no whole number for hidden_size"),
    ],
)
def test_a_broken_config_is_a_sentence(tmp_path, text, said):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CannotRun, match=said):
        shape_of(str(tmp_path))


def test_a_missing_config_is_a_sentence(tmp_path):
    with pytest.raises(CannotRun, match="no such file"):
        shape_of(str(tmp_path / "nothing.json"))
    with pytest.raises(CannotRun, match=r"name that file: --model config\.json"):
        shape_of("nobody/no-such-model")


def test_fit_needs_nothing_but_a_config(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps(yaml.safe_load(Path("configs/shapes.yaml").read_text())["gpt-oss-20b"])
    )
    answer = CliRunner().invoke(fit, ["--size", "20b", "--model", str(tmp_path / "config.json")])
    assert answer.exit_code == 0, answer.output
    for word in ("weights", "optimizer", "activations", "logits", "24 GB card", "16 GB Mac", "largest batches"):
        assert word in answer.output
    answer = CliRunner().invoke(fit, ["--size", "7b", "--json", "--memory", "10"])
    card = json.loads(answer.output)[0]
    twice = json.loads(CliRunner().invoke(fit, ["--size", "7b", "--json", "--memory", "10", "--factor", "2"]).output)[0]
    assert twice["total"] == pytest.approx(2 * card["total"]) and twice["longest_row"] < card["longest_row"]
    assert card["place"] == "10 GB card" and card["total"] == pytest.approx(sum(card["parts"].values()))
    assert card["flags"] and not card["fits"]


def fake(limit, factor):
    """A machine of `limit` bytes on which everything takes `factor` times the forecast."""
    asked = []

    def measure(batch):
        asked.append(batch)
        need = total(LLAMA_8B, replace(PLAN, batch=batch), factor)
        return need if need <= limit else None

    return measure, asked


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_a_probe_finds_the_largest_batch_that_really_fits(factor):
    limit = 40 * GIB
    measure, asked = fake(limit, factor)
    tried = probe(LLAMA_8B, PLAN, limit, measure)
    wanted = largest_batch(LLAMA_8B, PLAN, limit, factor)
    assert tried[-1].batch == max(size for size in range(1, wanted + 1) if 24 % size == 0)
    assert len(asked) <= 3
    result = summary(PLAN, tried, limit)
    assert result["factor"] == pytest.approx(factor)
    batch, accumulation = int(result["flags"][1]), int(result["flags"][3])
    assert batch * accumulation == 24


def test_a_probe_that_fits_nowhere_is_said():
    measure, _ = fake(1 * GIB, 1.0)
    with pytest.raises(CannotRun, match="not even one row fits"):
        probe(LLAMA_8B, PLAN, 40 * GIB, measure)
