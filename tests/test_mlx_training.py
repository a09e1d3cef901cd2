"""Whole trainings on MLX through the real scripts: the files they leave, mlx-lm's commands, kills, resume, refusals."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("mlx_lm", exc_type=ImportError, reason="MLX is not installed: make test does it on Linux")

import mlx.core as mx
import yaml

from lib import model_mlx, references
from lib.jsonl import write_rows
from scripts.kto import main as kto
from scripts.sft import main as sft
from tests.commands import first_sft_run, train
from tests.killing import rows_of
from tests.mlx_support import plain_rope, write_model
from tests.tiny_model import call_row, row

FLAGS = ["--log-every", "1", "--yes", "--batch-size", "4", "--grad-accumulation", "1"]
SHORT = [*FLAGS, "--epochs", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and data."""
    folder = tmp_path_factory.mktemp("training")
    write_model(folder / "model")
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(24)))
    short = [row(f"Add note {i}{'!' * i}", f"Done {i}.", i % 2 == 0) for i in range(24)]
    write_rows(folder / "kto.jsonl", short[:16])
    return folder


def run(command, place, monkeypatch, *arguments, platform="mlx"):
    return train(command, place, monkeypatch, *arguments, platform=platform)


@pytest.fixture
def sft_run(place, monkeypatch):
    return first_sft_run(sft, place, monkeypatch, *SHORT, platform="mlx")


def test_an_sft_run_leaves_what_the_torch_trainer_leaves(sft_run):
    manifest = yaml.safe_load((sft_run / "config.yaml").read_text())
    assert manifest["platform"] == "mlx" and manifest["versions"]["mlx-lm"]
    figures = json.loads((sft_run / "done.json").read_text())
    assert figures["steps"] == len(rows_of(sft_run)) > 3
    assert figures.keys() == {"steps", "train_loss", "eval_loss", "seconds", "tokens_per_s"}
    names = {"step", "timestamp", "loss", "learning_rate", "grad_norm", "epoch", "memory_gb", "tokens_per_s"}
    assert names <= rows_of(sft_run)[0].keys()
    losses = [row["loss"] for row in rows_of(sft_run)]
    assert losses[-1] < losses[0] and figures["train_loss"] == pytest.approx(sum(losses) / len(losses))
    files = {path.name for path in (sft_run / "final_model").iterdir()}
    assert {"adapters.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= files
    assert not (sft_run / "lock").exists()


def test_the_same_rows_have_the_same_tokens_on_every_platform(sft_run, place, monkeypatch):
    digests = {yaml.safe_load((sft_run / "config.yaml").read_text())["tokens_digest"]}
    for platform in ("cpu", "cuda"):
        monkeypatch.setattr("lib.training.open_run", lambda *a: digests.add(a[3]["tokens_digest"]) or Path("nowhere"))
        monkeypatch.setattr("scripts.sft.execute", lambda job, run_file: "not trained")
        flags = [*SHORT, "--eval-fraction", "0.2", "--no-unsloth"]
        result = run(sft, place, monkeypatch, place / "sft.jsonl", *flags, platform=platform)
        assert result.exit_code == 0, result.output
    assert len(digests) == 1


def logits(model):
    return model(mx.arange(4, 44)[None]).astype(mx.float32)


def test_mlx_lm_generates_with_the_adapter_and_fuses_it(sft_run, place, monkeypatch, tmp_path):
    import mlx_lm
    from mlx_lm import fuse

    monkeypatch.setattr("lib.model_mlx.load_base.__defaults__", (mx.float32,))
    wanted = logits(model_mlx.load_adapter(model_mlx.load_base(place / "model"), sft_run / "final_model"))
    assert mx.abs(wanted - logits(model_mlx.load_base(place / "model"))).max() > 0.01
    base = plain_rope(place / "model", tmp_path / "base")
    model, tokenizer = mlx_lm.load(str(base), adapter_path=str(sft_run / "final_model"))
    assert mx.abs(logits(model) - wanted).max() < 1e-4
    assert mlx_lm.generate(model, tokenizer, prompt="Add", max_tokens=3)
    folders = ["--model", base, "--adapter-path", sft_run / "final_model", "--save-path", tmp_path / "fused"]
    monkeypatch.setattr("sys.argv", ["fuse", *map(str, folders)])
    fuse.main()
    fused, _ = mlx_lm.load(str(tmp_path / "fused"))
    assert mx.abs(logits(fused) - wanted).max() < 1e-4


def test_our_merge_reads_an_mlx_adapter(sft_run, place, tmp_path):
    from lib.merge_torch import merge

    merged = merge(place / "model", sft_run / "final_model", tmp_path / "merged")
    tuned = model_mlx.load_adapter(model_mlx.load_base(place / "model", mx.float32), sft_run / "final_model")
    wanted, found = logits(tuned), logits(model_mlx.load_base(merged, mx.float32))
    off, base = (mx.abs(wanted - other).max().item() for other in (found, logits(model_mlx.load_base(place / "model"))))
    assert off < 0.05 * base, "bf16 rounding is all that differs"


def test_kto_starts_at_zero_and_eval_only_measures_it(sft_run, place, monkeypatch):
    flags = [*SHORT, "--from-run", sft_run, "--learning-rate", "1e-2"]
    result = run(kto, place, monkeypatch, place / "kto.jsonl", *flags)
    assert result.exit_code == 0, result.output
    folder = Path(result.stdout.strip())
    first, last = rows_of(folder)[0], rows_of(folder)[-1]
    assert first["kl"] == first["rewards/chosen"] == first["rewards/rejected"] == 0
    assert last["rewards/chosen"] != 0
    (kept,) = references.FOLDER.glob("*.json")
    known = json.loads(kept.read_text())
    assert sum(map(len, known.values())) == 16 and all(own < 0 for batch in known.values() for own, _ in batch)
    figures = []
    for measured in (sft_run, folder, folder / "checkpoints/checkpoint-4"):
        result = run(kto, place, monkeypatch, place / "kto.jsonl", *flags, "--eval-only", measured)
        assert result.exit_code == 0, result.output
        figures.append(json.loads(result.stdout))
    assert figures[0]["loss"] == pytest.approx(0.5) and figures[0]["kl"] == 0 and figures[0]["rows"] == 16
    assert figures[1] == figures[2] and figures[1]["loss"] < 0.5 < figures[1]["rewards/margins"] + 0.5


def test_eval_only_gives_the_loss_that_the_run_ended_with(sft_run, place, monkeypatch):
    before = set((place / "runs").glob("*"))
    flags = [*SHORT, "--eval-fraction", "0.2", "--eval-only", sft_run]
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *flags)
    assert result.exit_code == 0, result.output
    figures, done = json.loads(result.stdout), json.loads((sft_run / "done.json").read_text())
    assert figures["eval_loss"] == pytest.approx(done["eval_loss"], abs=1e-5) and figures["rows"] > 0
    assert set((place / "runs").glob("*")) == before


def test_a_reference_that_is_not_the_start_is_refused(sft_run, place, monkeypatch):
    monkeypatch.setattr("lib.kto_mlx.reference_logps", lambda *_: dict.fromkeys(range(16), (-9.0, -9.0)))
    result = run(kto, place, monkeypatch, place / "kto.jsonl", *SHORT, "--from-run", sft_run)
    assert (result.exit_code, "rewards and KL must be 0" in result.output) == (2, True), result.output


def test_an_adapter_of_the_other_kind_is_refused(sft_run, place, monkeypatch):
    result = run(kto, place, monkeypatch, place / "kto.jsonl", *SHORT, "--from-run", sft_run, platform="cpu")
    assert (result.exit_code, "of another kind than cpu trains" in result.output) == (2, True), result.output


def test_a_missing_package_is_a_sentence(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "lib.sft_mlx", None)
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *SHORT)
    assert (result.exit_code, "make setup PLATFORM=mlx" in result.output) == (2, True), result.output


def test_a_full_disk_and_a_full_memory_are_sentences(place, monkeypatch):
    for text, said in (
        ("[metal::malloc] Attempting to allocate 9 bytes", "out of memory"),
        ("[save_safetensors] Failed to open file", "a checkpoint could not be written"),
    ):

        def fail(self, step, watcher, text=text):
            raise RuntimeError(text)

        monkeypatch.setattr("lib.training_mlx.Loop.advance", fail)
        result = run(sft, place, monkeypatch, place / "sft.jsonl", *SHORT)
        assert (result.exit_code, said in result.output) == (2, True), result.output


def test_a_board_gets_every_row(place, monkeypatch):
    logged = []
    board = type("Board", (), {"init": lambda **k: logged.append(k), "log": lambda v, step: logged.append((step, v))})
    board.__spec__ = object()  # what looks for the package finds it
    board.finish = lambda: logged.append("finished")
    monkeypatch.setitem(sys.modules, "trackio", board)
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *SHORT, "--report-to", "trackio")
    assert result.exit_code == 0, result.output
    assert logged[0]["project"] == "toolset-training" and logged[-1] == "finished"
    assert [step for step, _ in logged[1:-1]] == list(range(1, len(logged) - 1)) and "train/loss" in logged[1][1]
    monkeypatch.setitem(sys.modules, "trackio", None)
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *SHORT, "--report-to", "trackio")
    assert (result.exit_code, "not installed" in result.output) == (2, True), result.output
