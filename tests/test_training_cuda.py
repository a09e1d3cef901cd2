"""On an NVIDIA GPU: the plain path in 4 and 16 bits, unsloth's, and the same loss as on the CPU. Skipped elsewhere."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")

from click.testing import CliRunner  # noqa: E402

from lib.config import load_config, load_size  # noqa: E402
from lib.jsonl import write_rows  # noqa: E402
from scripts.kto import main as kto  # noqa: E402
from scripts.sft import main as sft  # noqa: E402
from tests.tiny_model import call_row, write_tiny_model  # noqa: E402

FLAGS = [
    "--platform",
    "cuda",
    "--yes",
    "--log-every",
    "1",
    "--epochs",
    "1",
    "--batch-size",
    "4",
    "--grad-accumulation",
    "1",
]
SFT = [*FLAGS, "--lora-dropout", "0", "--learning-rate", "1e-3", "--eval-fraction", "0", "--max-length", "512"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuda")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(24)))
    write_rows(folder / "kto.jsonl", (call_row(i, i % 2 == 0) for i in range(16)))
    return folder


def run(command, place, monkeypatch, *arguments):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr("lib.runs.RUNS", place / "runs")
    answer = CliRunner().invoke(command, [*map(str, arguments), "--model", str(place / "model")])
    assert answer.exit_code == 0, answer.output
    return Path(answer.stdout.strip().splitlines()[-1])


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "logs/training_latest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("bits", ["--four-bit", "--no-four-bit"])
def test_plain_sft_and_kto_train(place, monkeypatch, bits):
    first = run(sft, place, monkeypatch, place / "sft.jsonl", *SFT, "--no-unsloth", bits)
    assert losses(first)[-1] < losses(first)[0]
    second = run(kto, place, monkeypatch, place / "kto.jsonl", *FLAGS, "--no-unsloth", bits, "--from-run", first)
    assert losses(second)[0] == pytest.approx(0.5, abs=1e-3), "rewards and KL are 0 at the first step"


def test_sixteen_bits_on_the_gpu_lose_what_they_lose_on_the_cpu(place, monkeypatch):
    flags = [*SFT, "--no-unsloth", "--no-four-bit"]
    on_gpu = run(sft, place, monkeypatch, place / "sft.jsonl", *flags)
    on_cpu = run(sft, place, monkeypatch, place / "sft.jsonl", *flags[2:], "--platform", "cpu")
    assert losses(on_gpu) == pytest.approx(losses(on_cpu), rel=2e-2)


def test_unsloth_trains_like_the_plain_path(place, monkeypatch):
    pytest.importorskip("unsloth")
    fast = run(sft, place, monkeypatch, place / "sft.jsonl", *SFT, "--no-four-bit")
    plain = run(sft, place, monkeypatch, place / "sft.jsonl", *SFT, "--no-unsloth", "--no-four-bit")
    assert losses(fast)[0] == pytest.approx(losses(plain)[0], rel=2e-2)
    assert losses(fast)[-1] < losses(fast)[0]


def test_the_loss_on_the_gpu_has_the_gradients_of_the_plain_head(place):
    from transformers import AutoModelForCausalLM

    from lib.loss_torch import label_logps

    model = AutoModelForCausalLM.from_pretrained(place / "model", dtype=torch.float32).cuda()
    for parameter in model.parameters():
        parameter.requires_grad_("self_attn" in str(parameter))
    ids = (torch.arange(60).reshape(2, 30) % 90 + 4).cuda()
    weight = model.model.layers[0].self_attn.q_proj.weight.requires_grad_()
    found = []
    for loss in (lambda: -label_logps(model, ids, ids)[0].mean(), lambda: model(ids, labels=ids).loss):
        weight.grad = None
        value = loss()
        value.backward()
        found.append((value.item(), weight.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


def test_the_size_loads_as_its_recipe_says():
    config, _ = load_config("sft", load_size("7b", "cuda", "sft"), {})
    assert config.unsloth and config.four_bit and config.lora_dropout == 0
