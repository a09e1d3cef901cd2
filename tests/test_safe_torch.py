"""Trainings that meet trouble: a full memory, a collapse, held-out rows that get worse, bad rows, bad models."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lib import sft_torch
from lib.chat import example_from_row
from lib.config import load_config, load_size
from lib.jsonl import write_rows
from lib.model_torch import add_lora
from lib.safe_torch import is_out_of_memory
from lib.templates import template_for
from lib.tokenizer_torch import load_tokenizer
from lib.training_rows import render_rows
from scripts.kto import main as kto
from scripts.sft import main as sft
from tests.tiny_model import call_row, row, write_tiny_model

FLAGS = ["--log-every", "1", "--yes", "--batch-size", "4", "--grad-accumulation", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and data."""
    folder = tmp_path_factory.mktemp("safe")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(24)))
    write_rows(folder / "kto.jsonl", (row(f"Add note {i}{'!' * i}", f"Done {i}.", i % 2 == 0) for i in range(24)))
    return folder


@pytest.fixture
def run(place, monkeypatch):
    """run(command, *arguments): the finished script, its runs in the folder."""
    monkeypatch.setattr("lib.runs.RUNS", place / "runs")

    def call(command, *arguments, model=place / "model"):
        return CliRunner().invoke(command, [*map(str, arguments), "--model", str(model)])

    return call


@pytest.fixture
def sft_run(place, run):
    done = place / "sft.run"
    if not done.exists():
        flags = [*FLAGS, "--epochs", "40", "--learning-rate", "1e-2", "--rows-per-tool", "0", "--run-file", done]
        answer = run(sft, place / "kto.jsonl", *flags)
        assert answer.exit_code == 0, answer.output
    return Path(done.read_text().strip())


def rows_of(folder):
    return [json.loads(line) for line in (folder / "logs/training_latest.jsonl").read_text().splitlines()]


# ---------------------------------------------------------------- memory
def train_in_fp32(place, run_folder, disturb=None):
    """(trainer, losses) of six steps of two micro-batches in fp32; disturb(trainer) comes before."""
    settings = {"epochs": 2.0, "batch_size": 4, "grad_accumulation": 2, "log_every": 1, "lora_dropout": 0.0}
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), settings)
    tokenizer = load_tokenizer(place / "model", template_for("none"))
    examples = [(str(i), example_from_row(call_row(i))[0]) for i in range(24)]
    rows, _, _ = render_rows(examples, tokenizer, config)
    model = add_lora(AutoModelForCausalLM.from_pretrained(place / "model", dtype=torch.float32), config)
    trainer = sft_torch.make_trainer(model, tokenizer, rows, config, run_folder, "cpu")
    if disturb:
        disturb(trainer)
    trainer.train()
    return trainer, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("most, pieces", [(2, 2), (1, 4)])
def test_a_full_memory_in_the_forward_pass_halves_the_batch_and_changes_nothing(
    place, tmp_path, monkeypatch, capsys, most, pieces
):
    whole, wanted = train_in_fp32(place, tmp_path / "whole")
    real, calls = sft_torch.label_logps, []

    def narrow(model, ids, labels, *others):
        calls.append(len(ids))
        if len(calls) > 5 and len(ids) > most:  # from the middle of the third step on
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(model, ids, labels, *others)

    monkeypatch.setattr(sft_torch, "label_logps", narrow)
    trainer, losses = train_in_fp32(place, tmp_path / "narrow")
    assert trainer.pieces == pieces and max(calls[-8:]) == most
    assert losses == pytest.approx(wanted, abs=1e-5) and len(losses) == 6
    assert closest(trainer.model, whole.model) < 1e-5
    said = capsys.readouterr().err
    assert f"Out of memory at step 3. Doing it again, and going on, with batches of {most} and {2 * pieces} of" in said


def closest(model, other):
    """The largest difference between two models' adapters."""
    pairs = zip(model.named_parameters(), other.named_parameters(), strict=True)
    return max((one - two).abs().max().item() for (_, one), (_, two) in pairs if one.requires_grad)


def test_a_full_memory_in_the_middle_of_a_backward_pass_leaves_no_half_gradients(place, tmp_path):
    _, wanted = train_in_fp32(place, tmp_path / "whole")
    passes = []

    def disturb(trainer):
        def full(*_):
            passes.append(trainer.state.global_step)
            if len(passes) == 6:  # the second micro-batch of step 3: the last layer has its gradients already
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

        trainer.model.get_base_model().model.layers[0].register_full_backward_hook(full)

    trainer, losses = train_in_fp32(place, tmp_path / "full", disturb)
    assert trainer.pieces == 2 and passes[5] == 2
    assert losses == pytest.approx(wanted, abs=1e-5)


def test_where_not_even_one_row_fits_the_training_says_what_to_do(place, run, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(sft_torch, "label_logps", full)
    answer = run(sft, place / "sft.jsonl", *FLAGS, "--epochs", "1", "--eval-fraction", "0")
    assert (answer.exit_code, "even in the smallest batches" in answer.output) == (2, True), answer.output
    assert "batches of 2" in answer.output and "batches of 1" in answer.output


def test_kto_keeps_two_rows_for_its_kl(place, run, sft_run, monkeypatch):
    from lib import kto_torch

    real, sizes = kto_torch.row_logps, []

    def narrow(model, ids, labels):
        sizes.append(len(ids))
        if torch.is_grad_enabled() and len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(model, ids, labels)

    monkeypatch.setattr(kto_torch, "row_logps", narrow)
    answer = run(kto, place / "kto.jsonl", *FLAGS, "--from-run", sft_run, "--epochs", "1")
    assert answer.exit_code == 0, answer.output
    assert "batches of 2 and 2 of" in answer.output and sizes[-1] == 2
    assert len(rows_of(Path(answer.stdout.strip()))) == 6


def test_a_loss_that_is_a_mean_over_rows_stays_one_in_parts(place, tmp_path, monkeypatch):
    """KTO without a KL, nine rows in parts of two and three: each part counts by its rows."""
    from lib import kto_torch
    from tests import training_jobs

    real = kto_torch.row_logps

    def train(folder, most):
        def narrow(model, ids, labels):
            if torch.is_grad_enabled() and len(ids) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(model, ids, labels)

        settings = {"loss_type": "apo_zero_unpaired", "batch_size": 8, "grad_accumulation": 1, "epochs": 4.0}
        job = training_jobs.make_job("kto", place / "model", folder, dtype="float32", **settings)
        trainer = kto_torch.make_trainer(training_jobs.torch_model(place / "model"), job.tokenizer, job)
        monkeypatch.setattr(kto_torch, "row_logps", narrow)
        trainer.train()
        return trainer, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    (whole, wanted), (cut, found) = train(tmp_path / "whole", 9), train(tmp_path / "cut", 3)
    assert (whole.pieces, cut.pieces) == (1, 4) and len(found) == 4
    assert found == pytest.approx(wanted, abs=1e-6) and wanted[0] != pytest.approx(wanted[-1], abs=1e-3)
    assert closest(cut.model, whole.model) < 1e-5


@pytest.mark.parametrize(
    "error, full",
    [
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("could not create a primitive"), True),  # oneDNN's, seen under a limit of 3.5 GB
        (MemoryError(), True),
        (RuntimeError("shapes do not match"), False),
        (OSError("No space left on device"), False),
    ],
)
def test_only_a_full_memory_is_one(error, full):
    assert is_out_of_memory(error) is full


# -------------------------------------------------------------- sentinel
@pytest.mark.parametrize("seed", range(10))
def test_ten_healthy_seeds_raise_nothing(place, run, sft_run, seed):
    flags = [*FLAGS, "--epochs", "4", "--seed", seed]
    answer = run(sft, place / "sft.jsonl", *flags, "--rows-per-tool", "0")
    assert answer.exit_code == 0, answer.output
    answer = run(kto, place / "kto.jsonl", *flags, "--from-run", sft_run, "--learning-rate", "1e-4")
    assert answer.exit_code == 0, answer.output
    assert len(rows_of(Path(answer.stdout.strip()))) == 24


def test_a_real_collapse_is_stopped_and_what_was_good_is_kept(place, run, sft_run):
    flags = [*FLAGS, "--epochs", "30", "--save-every", "2", "--from-run", sft_run, "--learning-rate", "0.9"]
    before = set((place / "runs").iterdir())
    answer = run(kto, place / "kto.jsonl", *flags, "--max-grad-norm", "1000")
    assert answer.exit_code == 2, answer.output
    assert "was stopped: " in answer.output and 'Change one thing: make kto KTO_ARGS="--' in answer.output
    (folder,) = set((place / "runs").iterdir()) - before
    assert not (folder / "done.json").exists() and len(rows_of(folder)) < 100
    for checkpoint in (folder / "checkpoints").glob("checkpoint-*"):
        assert all(value.isfinite().all() for value in load_file(checkpoint / "adapter_model.safetensors").values())


def test_weights_that_are_no_numbers_are_never_saved(place, run, monkeypatch):
    real = sft_torch.CompletionTrainer.compute_loss

    def poisoned(self, model, *arguments, **settings):
        if self.state.global_step == 5:
            next(p for p in model.parameters() if p.requires_grad).data.fill_(float("nan"))
        return real(self, model, *arguments, **settings)

    monkeypatch.setattr(sft_torch.CompletionTrainer, "compute_loss", poisoned)
    before = set((place / "runs").iterdir())
    flags = [*FLAGS, "--epochs", "3", "--rows-per-tool", "0", "--save-every", "2", "--log-every", "100"]
    answer = run(sft, place / "sft.jsonl", *flags)
    assert answer.exit_code == 2 and "not finite" in answer.output, answer.output
    (folder,) = set((place / "runs").iterdir()) - before
    assert f"The last good checkpoint is {folder}/checkpoints/checkpoint-4" in answer.output


# ---------------------------------------------------------- early stopping
EARLY = ["--epochs", "12", "--eval-fraction", "0.3", "--eval-every", "2", "--patience", "2", "--rows-per-tool", "0"]


def test_sft_stops_early_and_takes_the_best_adapter(place, run, monkeypatch):
    losses = iter([2.0, 1.0, 1.5, 1.2, 7.0])
    monkeypatch.setattr(sft_torch, "mean_loss", lambda *_: next(losses))
    answer = run(sft, place / "sft.jsonl", *FLAGS, *EARLY)
    assert answer.exit_code == 0, answer.output
    folder = Path(answer.stdout.strip())
    done = json.loads((folder / "done.json").read_text())
    assert (done["steps"], done["best_step"], done["eval_loss"]) == (8, 4, 7.0)
    measured = {entry["step"]: entry["eval_loss"] for entry in rows_of(folder) if "eval_loss" in entry}
    assert measured == {2: 2.0, 4: 1.0, 6: 1.5, 8: 1.2}
    assert "Stopping early: 2 evaluations without a loss below 1" in answer.output
    best, final, last = (
        load_file(folder / name / "adapter_model.safetensors")
        for name in ("best", "final_model", "checkpoints/checkpoint-8")
    )
    assert all(torch.equal(best[name], final[name]) for name in best)
    assert any(not torch.equal(last[name], final[name]) for name in best)


def test_the_evaluation_loss_of_the_best_step_is_that_of_the_final_model(place, run):
    answer = run(sft, place / "sft.jsonl", *FLAGS, *EARLY, "--epochs", "2")
    folder = Path(answer.stdout.strip())
    done = json.loads((folder / "done.json").read_text())
    measured = {entry["step"]: entry["eval_loss"] for entry in rows_of(folder) if "eval_loss" in entry}
    assert done["eval_loss"] == pytest.approx(min(measured.values()), abs=1e-6)
    assert measured[done["best_step"]] == min(measured.values()) and len(measured) > 2
    assert all("mean_token_accuracy" in entry for entry in rows_of(folder)), "training figures go on in training mode"


def test_kto_measures_held_out_prompts(place, run, sft_run):
    flags = [*FLAGS, "--from-run", sft_run, "--learning-rate", "1e-3", "--epochs", "3"]
    answer = run(kto, place / "kto.jsonl", *flags, "--eval-fraction", "0.3", "--eval-every", "3")
    assert answer.exit_code == 0, answer.output
    folder = Path(answer.stdout.strip())
    measured = {entry["step"]: entry["eval_loss"] for entry in rows_of(folder) if "eval_loss" in entry}
    assert len(measured) >= 3 and all(0 < loss < 1 for loss in measured.values())
    assert min(measured.values()) < 0.5, "it has learnt something that holds for other prompts"
    assert json.loads((folder / "done.json").read_text())["best_step"] == min(measured, key=measured.get)


# ---------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    "lines, said",
    [
        ('{"conversations": []}\n', '"conversations" is empty'),
        ("{}\n", '"conversations" is missing'),
        ("", "the file is empty"),
        ("\n \n", "no row is left"),
        ('{"conversations": [{"role": "user", "content": "Hello"}]}\n', "the assistant must answer"),
        (json.dumps(row("Hello", " ")), "rows.jsonl:1: empty-answer: the assistant says nothing"),
    ],
)
def test_empty_rows_are_named(place, run, tmp_path, lines, said):
    (tmp_path / "rows.jsonl").write_text(lines)
    answer = run(sft, tmp_path / "rows.jsonl", *FLAGS)
    assert (answer.exit_code, said in answer.output) == (2, True), answer.output
    assert "Traceback" not in answer.output


def test_a_long_row_is_named_counted_and_left_out_whole(place, run, tmp_path):
    rows = [call_row(i) for i in range(8)] + [row("Long?", "word " * 500)]
    write_rows(tmp_path / "rows.jsonl", rows)
    answer = run(sft, tmp_path / "rows.jsonl", *FLAGS, "--max-length", "600", "--rows-per-tool", "0", "--dry-run")
    assert answer.exit_code == 0, answer.output
    assert "rows.jsonl:9: " in answer.output and "more than max_length 600; left out" in answer.output
    assert "too long 1" in answer.output


def test_a_base_without_a_chat_template_is_a_sentence(place, run, tmp_path):
    folder = write_tiny_model(tmp_path / "plain")
    for name in ("chat_template.jinja",):
        (folder / name).unlink()
    answer = run(sft, place / "sft.jsonl", *FLAGS, "--size", "7b", model=folder)
    assert (answer.exit_code, "this base model has no chat template" in answer.output) == (2, True), answer.output


def test_a_folder_that_cannot_be_written_to_is_a_sentence(place, run, tmp_path, monkeypatch):
    (tmp_path / "runs").write_text("a file")
    monkeypatch.setattr("lib.runs.RUNS", tmp_path / "runs")
    answer = run(sft, place / "sft.jsonl", *FLAGS)
    assert (answer.exit_code, "a run's folder cannot be made" in answer.output) == (2, True), answer.output


def test_a_disk_that_is_full_at_the_end_costs_no_step(place, run, monkeypatch):
    real = PeftModel.save_pretrained

    def full(self, folder, *arguments, **settings):
        if "final_model" in str(folder):
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        return real(self, folder, *arguments, **settings)

    monkeypatch.setattr(PeftModel, "save_pretrained", full)
    before = set((place / "runs").iterdir()) if (place / "runs").exists() else set()
    flags = [place / "sft.jsonl", *FLAGS, "--epochs", "2", "--seed", "99"]
    answer = run(sft, *flags)
    (folder,) = set((place / "runs").iterdir()) - before
    assert (answer.exit_code, "Free some disk, then RESUME=1" in answer.output) == (2, True), answer.output
    assert not list(folder.glob("final_model*")) and not (folder / "done.json").exists()
    monkeypatch.setattr(PeftModel, "save_pretrained", real)
    steps = len(rows_of(folder))
    answer = run(sft, *flags, "--resume")
    assert answer.exit_code == 0 and answer.stdout.strip() == str(folder), answer.output
    assert len(rows_of(folder)) == steps and json.loads((folder / "done.json").read_text())["steps"] == steps


def test_a_probe_takes_real_steps_and_says_how_right_the_forecast_is(place):
    from scripts.probe import main as probe

    flags = ["--model", place / "model", "--batch-size", "2", "--max-length", "64", "--memory", "8", "--json"]
    answer = CliRunner().invoke(probe, list(map(str, flags)))
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [one["batch"] for one in found["trials"]] == [2] and found["length"] == 64
    assert 0.1 < found["trials"][0]["peak"] < 8 and found["factor"] > 0
    assert found["flags"] == ["--batch-size", "2", "--grad-accumulation", "1"]
    assert 'make sft SFT_ARGS="--batch-size 2 --grad-accumulation 1"' in answer.stderr
