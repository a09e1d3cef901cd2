"""KTO in PyTorch: what the collator hands out, the prompt shared or not, epochs, the SFT term, the reference kept."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from lib import kto_torch, references
from lib.fast_torch import speed_up
from lib.kto_plan import epoch_order, planned_batches
from lib.training_torch import PlannedBatches
from tests.tiny_model import write_tiny_model
from tests.training_jobs import make_job, torch_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def collate_of(job):
    batches = planned_batches(job.rows, job.desirable, job.config)
    return kto_torch.Collator(job.rows, job.desirable, batches, job.tokenizer.pad_token_id, job.config), batches


def losses_of(job, model):
    """(losses of every step, logged rows) of a whole training."""
    trainer = kto_torch.make_trainer(model, job.tokenizer, job)
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row], trainer


def test_the_shared_prefix_gives_the_log_probabilities_and_losses_of_separate_passes(folder, tmp_path):
    model, pairs, losses = torch_model(folder), [], []
    for shared in (False, True):
        job = make_job("kto", folder, tmp_path / str(shared), shared_prefix=shared, batch_size=4, grad_accumulation=1)
        collate, batches = collate_of(job)
        found = kto_torch.reference_logps(model, collate, batches)
        pairs.append(torch.tensor([found[i] for i in range(len(job.rows))]))
        found, trainer = losses_of(job, torch_model(folder))
        losses.append(found)
    assert torch.allclose(*pairs, atol=1e-5, rtol=1e-6)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert any(row.get("rewards/chosen", 0) > 0.1 for row in trainer.state.log_history), "it did learn"


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on one core
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shared", [False, True])
def test_any_number_of_workers_sees_the_same_batches(folder, tmp_path, workers, shared):
    job = make_job("kto", folder, tmp_path, shared_prefix=shared)
    collate, batches = collate_of(job)
    items = [{"index": i} for i in range(len(job.rows))]
    loader = DataLoader(
        items, batch_sampler=PlannedBatches(lambda epoch: batches), collate_fn=collate, num_workers=workers
    )
    for indices, batch in zip(batches, loader, strict=True):
        wanted = collate([{"index": i} for i in indices])
        assert wanted.keys() == batch.keys()
        assert all(torch.equal(wanted[name], batch[name]) for name in wanted)


def test_a_mismatched_completion_is_the_previous_rows_behind_the_own_prompt(folder, tmp_path):
    job = make_job("kto", folder, tmp_path, batch_size=3)
    collate, batches = collate_of(job)
    batch = collate([{"index": i} for i in batches[0]])
    for place, row in enumerate(batches[0]):
        own, lender = job.rows[row], job.rows[batches[0][place - 1]]
        ids = own.input_ids[: own.prompt_length] + lender.input_ids[lender.prompt_length :]
        assert batch["kl_input_ids"][place, : len(ids)].tolist() == ids


def test_a_loss_without_kl_runs_no_mismatched_completion(folder, tmp_path):
    job = make_job("kto", folder, tmp_path, loss_type="apo_zero_unpaired")
    collate, batches = collate_of(job)
    assert not [name for name in collate([{"index": i} for i in batches[0]]) if name.startswith("kl_")]
    losses, trainer = losses_of(job, torch_model(folder))
    assert losses[0] == pytest.approx(0.55, abs=0.1) and losses[-1] < losses[0]
    assert all(row["kl"] == 0 for row in trainer.state.log_history if "kl" in row)


def test_file_order_is_kept_and_reported(folder, tmp_path, capsys):
    job = make_job("kto", folder, tmp_path, order="file", batch_size=4)
    assert planned_batches(job.rows, job.desirable, job.config) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert "9 rows, 6 desirable, not strictly alternating; 0 of 2 batches with one label" in capsys.readouterr().err
    planned_batches(job.rows, [i % 2 == 0 for i in range(9)], job.config)
    assert "9 rows, 5 desirable, strictly alternating" in capsys.readouterr().err


def test_later_epochs_take_the_same_batches_in_another_order(folder, tmp_path):
    job = make_job("kto", folder, tmp_path)
    _, batches = collate_of(job)
    orders = [epoch_order(batches, job.config, epoch) for epoch in range(3)]
    assert orders[0] == batches and orders[1] != batches and orders[1] != orders[2]
    assert sorted(orders[1]) == sorted(batches) and orders[1] == epoch_order(batches, job.config, 1)
    assert epoch_order(batches, replace(job.config, order="file"), 1) == batches


def test_the_sft_term_is_added_and_logged(folder, tmp_path):
    plain, _ = losses_of(make_job("kto", folder, tmp_path / "a"), torch_model(folder))
    losses, trainer = losses_of(make_job("kto", folder, tmp_path / "b", sft_weight=0.5), torch_model(folder))
    first = next(row for row in trainer.state.log_history if "sft_loss" in row)
    assert first["sft_loss"] > 1 and losses[0] == pytest.approx(plain[0] + 0.5 * first["sft_loss"], abs=1e-4)


def test_a_reference_is_asked_for_once_for_all_runs(folder, tmp_path, monkeypatch):
    start = torch_model(folder)
    start.save_pretrained(tmp_path / "adapter")
    losses = []
    for number, settings in enumerate([{}, {"learning_rate": 1e-3}, {"beta": 0.1}]):
        job = replace(make_job("kto", folder, tmp_path / str(number), **settings), adapter=tmp_path / "adapter")
        losses.append(losses_of(job, torch_model(folder))[0])
        monkeypatch.setattr(kto_torch, "reference_logps", lambda *_: pytest.fail("asked again"))
    assert len(list(references.FOLDER.glob("*.json"))) == 1
    assert losses[0] != losses[1]
    fast = torch_model(folder)
    speed_up(fast)  # other attention, other last bits
    with pytest.raises(pytest.fail.Exception, match="asked again"):
        kto_torch.make_trainer(fast, job.tokenizer, job)
