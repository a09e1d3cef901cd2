"""On an NVIDIA GPU: the plain path in 4 and 16 bits, unsloth's, and the same loss as on the CPU. Skipped elsewhere."""

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")

from lib.config import load_config, load_size  # noqa: E402
from lib.jsonl import write_rows  # noqa: E402
from tests.tiny_model import call_row  # noqa: E402

WAYS = ["--no-unsloth", *(["--unsloth"] if util.find_spec("unsloth") else [])]
WIDE = {"hidden_size": 256, "intermediate_size": 512}  # heads of 64, as unsloth's kernels want them
# A process for each training: unsloth patches trl and transformers for good, and wants to be there before them.
START = """
import sys
from pathlib import Path
from lib import references, runs
root = Path(sys.argv.pop(1))
runs.RUNS, references.FOLDER = root / "runs", root / "references"
from scripts.{method} import main
main()
"""
FLAGS = ["--platform", "cuda", "--yes", "--log-every", "1", "--epochs", "1"]
FLAGS += ["--batch-size", "4", "--grad-accumulation", "1"]
SFT = [*FLAGS, "--lora-dropout", "0", "--learning-rate", "1e-3", "--eval-fraction", "0", "--max-length", "512"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from lib.random_model_torch import write_random_model
    from lib.templates import template_for

    folder = tmp_path_factory.mktemp("cuda")
    write_random_model(folder / "model", template_for("none"), WIDE)
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(24)))
    write_rows(folder / "kto.jsonl", (call_row(i, i % 2 == 0) for i in range(16)))
    return folder


def run(method, place, *arguments):
    """The run directory of a training that ended well."""
    line = [sys.executable, "-c", START.format(method=method), place, place / f"{method}.jsonl", *arguments]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "0"}
    words = [*map(str, line), "--model", str(place / "model")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.strip().splitlines()[-1])


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "logs/training_latest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("bits", ["--four-bit", "--no-four-bit"])
@pytest.mark.parametrize("way", WAYS)
def test_sft_and_kto_train(place, way, bits):
    first = run("sft", place, *SFT, way, bits)
    assert losses(first)[-1] < losses(first)[0]
    second = run("kto", place, *FLAGS, way, bits, "--from-run", first)
    assert losses(second)[0] == pytest.approx(0.5, abs=1e-3), "rewards and KL are 0 at the first step"


def test_sixteen_bits_lose_what_they_lose_on_the_cpu_with_and_without_unsloth(place):
    flags = [*SFT, "--no-four-bit", "--gradient-checkpointing"]
    on_cpu = run("sft", place, *flags, "--platform", "cpu")
    for way in WAYS:
        assert losses(run("sft", place, *flags, way)) == pytest.approx(losses(on_cpu), rel=2e-2), way


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
