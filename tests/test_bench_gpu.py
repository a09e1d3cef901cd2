"""The GPU bench: what it counts, its table, and what it says without a GPU."""

import json

import pytest
from click.testing import CliRunner

from lib.bench_gpu_torch import PROMPT_SHARE, flops_per_token, foreign_trainer, make_job, our_trainer, random_rows
from lib.random_model_torch import SEVEN_B, TWO_LAYERS, write_model_with_adapter
from scripts import bench_gpu


def test_useful_work_is_four_a_weight_for_sft_and_six_for_kto():
    """Mistral-7B's blocks hold 6.98 billion weights (7.25 less embedding and head)."""
    sft = flops_per_token(SEVEN_B, 0, "sft")
    head = (1 - PROMPT_SHARE) * 4096 * 32768
    assert sft == pytest.approx(4 * (6.98e9 + head), rel=1e-3)
    assert flops_per_token(SEVEN_B, 0, "kto") == pytest.approx(1.5 * sft)
    assert flops_per_token(SEVEN_B, 2048, "sft") - sft == pytest.approx(2 * 32 * 2 * 4096 * 2048)


def test_rows_are_all_different_and_a_quarter_is_trained():
    rows = random_rows(6, 64)
    assert len({tuple(row.input_ids) for row in rows}) == 6
    assert all(row.trained == 16 and row.prompt_length == 48 for row in rows)
    assert random_rows(6, 64) == rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    write_model_with_adapter(folder, TWO_LAYERS)
    return folder


@pytest.mark.parametrize("method", ["sft", "kto"])
@pytest.mark.parametrize("leg", ["ours", "trl"])
def test_a_leg_trains_on_every_row_whole(leg, method, model, tmp_path, monkeypatch):
    """On the CPU what the bench does on a GPU; the rows of every leg have the same tokens."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    job = make_job(leg, method, 16, random_rows(6, 64), model, "cpu")
    trainer = our_trainer(job) if leg == "ours" else foreign_trainer(leg, job, 16)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(6)])
    tokens = next(batch[name] for name in ("completion_input_ids", "input_ids") if name in batch)
    assert tokens.tolist() == [row.input_ids for row in job.rows]
    trainer.train()
    assert trainer.state.global_step == 3 and trainer.state.log_history[-1]["train_loss"] > 0


def test_the_adapter_beside_the_random_model_fits_it_and_changes_nothing_yet(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    from lib.model_torch import load_adapter

    write_model_with_adapter(tmp_path, TWO_LAYERS, torch.float32)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.arange(12).reshape(1, 12)
    before = plain(ids).logits
    model = load_adapter(plain, tmp_path / "adapter")
    assert sum(parameter.requires_grad for parameter in model.parameters()) == 28
    assert torch.equal(model(ids).logits, before)


def test_without_a_gpu_nothing_is_measured_and_that_is_said(monkeypatch):
    monkeypatch.setattr("lib.needs.output_of", lambda *line: None)
    answer = CliRunner().invoke(bench_gpu.main, [])
    assert answer.exit_code == 0 and answer.stdout == ""
    assert "nothing was measured" in answer.stderr and "make setup PLATFORM=cuda" in answer.stderr


def test_a_leg_that_fails_is_a_row_of_the_table(monkeypatch, tmp_path):
    figures = {
        "leg": "trl",
        "method": "sft",
        "bits": 4,
        "tokens_per_s": 900.5,
        "tflops": 26.0,
        "peak_gb": 9.1,
        "forecast_gb": 9.5,
        "loss": 5.5,
    }

    class Done:
        def __init__(self, line):
            self.returncode = int("unsloth" in line)
            self.stdout, self.stderr = json.dumps(figures), "Traceback\\ntorch.OutOfMemoryError: CUDA out of memory"

    monkeypatch.setattr(bench_gpu.subprocess, "run", lambda line, **_: Done(line))
    found = [bench_gpu.leg_figures(leg, "sft", 4, 2, 64, tmp_path) for leg in ("trl", "unsloth")]
    text = bench_gpu.table([found[0] | {"mfu": 0.412}, found[1]])
    assert "| sft | 4 | trl | 900.5 | 41.2% | 9.1 | 9.5 | 5.5 |" in text
    assert "| sft | 4 | unsloth | failed: " in text and "out of memory" in text
