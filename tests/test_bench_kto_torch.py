"""The legs of bench_kto on a tiny model: they train on the same tokens, and are measured alike."""

import pytest
from trl import KTOTrainer

from lib import bench_kto_torch, kto_torch
from lib.bench_torch import Clock
from tests.tiny_model import write_tiny_model
from tests.training_jobs import make_job


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setattr(KTOTrainer, "_precompute_ref_logps", KTOTrainer._precompute_ref_logps)  # put back afterwards
    monkeypatch.setattr(kto_torch, "reference_logps", kto_torch.reference_logps)
    folder = write_tiny_model(tmp_path / "model")
    settings = {"batch_size": 2, "grad_accumulation": 1, "epochs": 1.0, "shared_prefix": True, "learning_rate": 1e-4}
    return make_job("kto", folder, tmp_path / "run", **settings)


@pytest.mark.parametrize("kind", ["ours", "plain", "tuned"])
def test_a_leg_trains_counts_and_is_measured(job, kind):
    trainer, reference = bench_kto_torch.ours(job) if kind == "ours" else bench_kto_torch.plain(job, kind == "tuned")
    clock = Clock(trainer)
    trainer.train()
    assert clock.seconds > 0 and (reference.seconds > 0) is (kind != "plain")
    tokens = sum(len(row.input_ids) for row in job.rows)
    assert tokens <= clock.seen <= tokens + len(job.rows), "TRL ends a completion with one more token at most"
    assert 0 < clock.tokens < clock.seen
    found = bench_kto_torch.held_out_figures(trainer.model, job, job.rows, job.desirable)
    assert found["rows"] == len(job.rows) and found["loss"] == pytest.approx(0.55, abs=0.15)
