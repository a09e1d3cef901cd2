"""Exact resume on MLX: killed anywhere, a training goes on within 1e-6; a full disk, a full memory, an early stop."""

import json
import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm", exc_type=ImportError, reason="MLX is not installed: make test does it on Linux")

import mlx.core as mx

from lib import kto_mlx, model_mlx, sft_mlx
from lib.jsonl import write_rows
from lib.training_mlx import resume
from lib.watching import Watcher
from tests import mlx_support as support
from tests import training_jobs
from tests.killing import CLOCK, KTO, SFT, Trainings, newest, rows_of, two_stages, wait_for_step
from tests.tiny_model import row

QUIET = Watcher(None, "sft")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and data."""
    folder = tmp_path_factory.mktemp("resume")
    support.write_model(folder / "model")
    short = [row(f"Add note {i}{'!' * i}", f"Done {i}.", i % 2 == 0) for i in range(23)]
    write_rows(folder / "kto.jsonl", short[:21])
    write_rows(folder / "sft.jsonl", [item | {"label": True} for item in short])
    return folder


@pytest.fixture(scope="module")
def trainings(place):
    with Trainings("mlx", place) as started:
        yield started


@pytest.fixture(scope="module")
def whole(place, trainings):
    """An SFT run that nobody disturbed."""
    return trainings.finish("sft", place / "whole", place / "sft.jsonl", *SFT)


def assert_same(run: Path, other: Path):
    """The two runs logged the same figures, and ended with the same weights, within 1e-6."""
    found, wanted = rows_of(run), rows_of(other)
    assert [entry["step"] for entry in found] == [entry["step"] for entry in wanted] and len(found) > 10
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        for name in set(mine) - set(CLOCK):
            assert mine[name] == pytest.approx(theirs[name], abs=1e-6), (mine["step"], name)
    one, two = (mx.load(str(path / "final_model/adapters.safetensors")) for path in (run, other))
    assert support.worst(one, two) <= 1e-6
    assert len(list((run / "logs").glob("training_2*.jsonl"))) == 1 and (run / "done.json").is_file()
    assert len(list((run / "checkpoints").glob("checkpoint-*"))) == 2


def test_sft_killed_six_times_ends_as_if_left_alone(place, trainings, whole):
    trainings.kill_at_random("sft", place / "killed", 6, place / "sft.jsonl", *SFT)
    assert_same(trainings.finish("sft", place / "killed", place / "sft.jsonl", *SFT, "--resume"), whole)


def test_kto_killed_four_times_ends_as_if_left_alone(place, trainings, whole):
    flags = [place / "kto.jsonl", *KTO, "--from-run", whole]
    alone = trainings.finish("kto", place / "kto-whole", *flags)
    trainings.kill_at_random("kto", place / "kto-killed", 4, *flags)
    run = trainings.finish("kto", place / "kto-killed", *flags, "--resume")
    assert_same(run, alone)
    assert any(entry["kl"] > 0 for entry in rows_of(run))
    rates = {entry["step"]: entry["learning_rate"] for entry in rows_of(run)}
    assert rates == pytest.approx({step: two_stages(step, 48) for step in rates}, rel=1e-6) and max(rates) == 48


def test_ctrl_c_and_then_a_damaged_checkpoint(place, trainings, whole):
    root = place / "stopped"
    pid = trainings.start("sft", root, place / "sft.jsonl", *SFT)
    wait_for_step(root, "sft", 5)
    os.kill(pid, signal.SIGINT)
    assert trainings.wait() == 130, trainings.output.read_text()
    assert "make sft RESUME=1" in trainings.output.read_text()
    run = newest(root, "sft")
    last = max((run / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    data = (last / "optimizer.safetensors").read_bytes()
    (last / "optimizer.safetensors").write_bytes(data[: len(data) // 2])
    assert trainings.finish("sft", root, place / "sft.jsonl", *SFT, "--resume") == run
    assert "optimizer.safetensors is not what was written); going back" in trainings.output.read_text()
    assert last.with_name(last.name.replace("checkpoint", "broken")).is_dir()
    assert_same(run, whole)


@pytest.mark.parametrize("largest", [100_000, 300_000], ids=["the adapter", "the optimizer"])
def test_a_disk_that_is_full_during_a_save_costs_nothing(place, trainings, whole, largest):
    root = place / f"full-{largest}"
    trainings.start("sft", root, place / "sft.jsonl", *SFT, largest=largest)
    assert trainings.wait() == 2, trainings.output.read_text()
    run, words = newest(root, "sft"), trainings.output.read_text()
    assert "a checkpoint could not be written" in words and "Traceback" not in words
    assert list((run / "checkpoints").iterdir()) == []
    assert trainings.finish("sft", root, place / "sft.jsonl", *SFT, "--resume") == run
    assert_same(run, whole)


@pytest.mark.parametrize("method", ["sft", "kto"])
def test_a_full_memory_halves_the_batch_from_the_same_step_on(method, place, tmp_path, monkeypatch, capsys):
    """KTO estimates KL from the rows of a part then, so only SFT's figures stay the same."""
    module, name = (sft_mlx, "label_logps") if method == "sft" else (kto_mlx, "row_logps")
    job = support.make_job(method, place / "model", tmp_path, batch_size=4, grad_accumulation=1)
    model = training_jobs.torch_model(place / "model")

    def losses(disturbed):
        loop = module.make_loop(support.mlx_twin(model, place / "model"), job)
        real = getattr(module, name)

        def narrow(twin, batch):
            if disturbed and loop.step >= 1 and len(batch.ids) > 3:
                raise RuntimeError("[metal::malloc] Attempting to allocate 9 bytes which is greater than the maximum")
            return real(twin, batch)

        monkeypatch.setattr(module, name, narrow)
        for step in range(loop.steps.total):
            loop.advance(step, QUIET)
        monkeypatch.setattr(module, name, real)
        return loop.meter.losses, loop.pieces

    (wanted, whole), (found, pieces) = losses(False), losses(True)
    assert (whole, pieces) == (1, 2) and len(found) == len(wanted) > 3
    assert found == pytest.approx(wanted, abs=1e-5 if method == "sft" else 0.2)
    assert (
        "Out of memory at step 2. Doing it again, and going on, with batches of 2 and 2 of" in capsys.readouterr().err
    )


def test_an_early_stop_is_remembered_and_the_best_adapter_kept(place, tmp_path):
    job = support.make_job("sft", place / "model", tmp_path, epochs=8.0, eval_every=2, patience=2)
    measured = iter([2.0, 1.0, 1.5, 1.2])

    def loop_of():
        loop = sft_mlx.make_loop(support.mlx_twin(training_jobs.torch_model(place / "model"), place / "model"), job)
        loop.held_out_loss = lambda: next(measured)
        return loop

    class Rows(list):
        def write(self, step, values, memory):
            self.append((step, values))

        def count(self, tokens):
            pass

    rows, loop = Rows(), loop_of()
    loop.run(rows, type("Stop", (), {"stopped": False}), lambda *_: None)
    assert loop.step == 8 and loop.early.figures() == {"best_step": 4}
    assert {step: values["eval_loss"] for step, values in rows if "eval_loss" in values} == {
        2: 2.0, 4: 1.0, 6: 1.5, 8: 1.2,
    }  # fmt: skip
    again = loop_of()
    resume(again, tmp_path)
    again.run(rows, type("Stop", (), {"stopped": False}), lambda *_: None)
    assert again.step == 8 and again.early == loop.early
    best = model_mlx.read_weights(again.model, again.early.best_adapter(tmp_path))
    assert support.worst(model_mlx.trainable(best), model_mlx.trainable(loop.model)) > 1e-4


def test_weights_that_are_no_numbers_are_never_saved(place, tmp_path):
    from lib.sentinel import Collapse

    loop = sft_mlx.make_loop(
        support.mlx_twin(training_jobs.torch_model(place / "model"), place / "model"),
        support.make_job("sft", place / "model", tmp_path),
    )
    name, value = next(iter(model_mlx.trainable(loop.model).items()))
    loop.model.load_weights([(name, value * float("nan"))], strict=False)
    with pytest.raises(Collapse, match="not finite"):
        loop.save()
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_probe_measures_two_steps(place):
    from dataclasses import asdict, replace

    from lib.config import load_config, load_size
    from lib.memory import RUNTIME
    from lib.trials import Trial, run_trial

    for method in ("sft", "kto"):
        config, _ = load_config(method, load_size("tiny", "mlx", method), {"max_length": 64})
        config = replace(config, batch_size=2, grad_accumulation=1, epochs=1.0)
        peak = run_trial(Trial(method, "mlx", str(place / "model"), asdict(config)))
        assert 1e6 < peak - RUNTIME["mlx"] < 1e9


def test_kto_measures_held_out_prompts(place, trainings, whole):
    flags = [*KTO, "--from-run", whole, "--eval-fraction", "0.3", "--eval-every", "4"]
    run = trainings.finish("kto", place / "held-out", place / "kto.jsonl", *flags)
    measured = {entry["step"]: entry["eval_loss"] for entry in rows_of(run) if "eval_loss" in entry}
    assert len(measured) >= 3 and all(0 < loss < 1 for loss in measured.values())
    assert json.loads((run / "done.json").read_text())["best_step"] == min(measured, key=measured.get)
    best, final = (mx.load(str(run / name / "adapters.safetensors")) for name in ("best", "final_model"))
    assert support.worst(best, final) == 0
