"""SFT batches in PyTorch: packed rows cost and teach what they do alone, in either dtype."""

from dataclasses import replace

import pytest
import torch

from lib import sft_torch
from lib.loss_torch import label_logps
from lib.rendering import IGNORED
from tests.tiny_model import write_tiny_model
from tests.training_jobs import make_job, torch_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_packed_rows_have_the_loss_of_rows_alone(folder, tmp_path):
    job, model = make_job("sft", folder, tmp_path), torch_model(folder).eval()
    longest = max(len(row.input_ids) for row in job.rows)
    dataset = sft_torch.packed_dataset(job.rows, 2 * longest + 5)
    assert 3 <= len(dataset) < len(job.rows)
    batch = sft_torch.collator(job.tokenizer.pad_token_id)(list(dataset)[-2:])
    with torch.no_grad():
        found, _, _ = label_logps(model, batch["input_ids"], batch["labels"], batch["position_ids"])
        alone = {}
        for row in job.rows:
            logps, _, _ = label_logps(model, torch.tensor([row.input_ids]), torch.tensor([row.labels]))
            alone[tuple(row.input_ids)] = logps
    wanted = []
    for pack in list(dataset)[-2:]:
        starts = [i for i, place in enumerate(pack["position_ids"]) if place == 0] + [len(pack["input_ids"])]
        rows = [tuple(pack["input_ids"][a:b]) for a, b in zip(starts, starts[1:], strict=False)]
        wanted += [alone[row] for row in rows]
    assert torch.allclose(found, torch.cat(wanted), atol=1e-5)


def test_no_pack_predicts_a_rows_first_token(folder, tmp_path):
    rows = [replace(row, labels=list(row.input_ids)) for row in make_job("sft", folder, tmp_path).rows]
    for pack in sft_torch.packed_dataset(rows, 1000):
        firsts = [label for label, place in zip(pack["labels"], pack["position_ids"], strict=True) if place == 0]
        assert set(firsts) == {IGNORED}


def test_an_epoch_of_packs_takes_the_step_of_all_rows(folder, tmp_path, capsys):
    """One step over every row: packed and unpacked end in the same weights."""
    ends = []
    for packing in (False, True):
        job = make_job(
            "sft",
            folder,
            tmp_path / str(packing),
            packing=packing,
            epochs=1.0,
            warmup_fraction=0.0,
            grad_accumulation=9,
        )
        model = torch_model(folder)
        trainer = sft_torch.make_trainer(model, job.tokenizer, job.rows, job.config, job.run, "cpu")
        trainer.train()
        assert trainer.state.global_step == 1
        ends.append({name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad})
    assert "9 rows in" in capsys.readouterr().err
    started = dict(torch_model(folder).named_parameters())
    plain, packed = ends
    assert any((plain[name] - started[name]).abs().max() > 1e-4 for name in plain)
    # Adam's first step is the sign of a gradient: where that is 0 but for rounding, the two may differ.
    apart = torch.cat([(plain[name] - packed[name]).flatten().abs() for name in plain])
    assert (apart > 1e-5).float().mean() < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_follows_the_weights(folder, tmp_path, dtype):
    job = make_job("sft", folder, tmp_path)
    trainer = sft_torch.make_trainer(torch_model(folder).to(dtype), job.tokenizer, job.rows, job.config, job.run, "cpu")
    assert trainer.args.bf16 is (dtype == torch.bfloat16)
