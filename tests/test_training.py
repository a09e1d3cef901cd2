"""Whole trainings of a two-layer model through the real scripts: SFT, KTO from it, stops, resume, refusals."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file

from lib.jsonl import write_rows
from scripts.kto import main as kto
from scripts.sft import main as sft
from tests.commands import first_sft_run
from tests.commands import train as run
from tests.killing import rows_of
from tests.tiny_model import call_row, write_tiny_model

FLAGS = ["--log-every", "1", "--yes"]
SHORT = [*FLAGS, "--epochs", "1", "--batch-size", "4", "--grad-accumulation", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, data and one finished SFT run."""
    folder = tmp_path_factory.mktemp("training")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(24)))
    write_rows(folder / "kto.jsonl", (call_row(i, i % 2 == 0) for i in range(16)))
    return folder


@pytest.fixture
def sft_run(place, monkeypatch):
    return first_sft_run(sft, place, monkeypatch, *SHORT)


def test_an_sft_run_leaves_settings_metrics_adapter_tokenizer_and_figures(sft_run):
    manifest = yaml.safe_load((sft_run / "config.yaml").read_text())
    assert manifest["settings"]["epochs"] == 1.0 and len(manifest["data"]) == 1 and manifest["versions"]["torch"]
    figures = json.loads((sft_run / "done.json").read_text())
    assert figures["steps"] == len(rows_of(sft_run)) > 3
    assert figures["eval_loss"] > 0
    assert {"step", "timestamp", "loss", "learning_rate", "memory_gb", "tokens_per_s"} <= rows_of(sft_run)[0].keys()
    files = {path.name for path in (sft_run / "final_model").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= files
    assert not (sft_run / "lock").exists()


def test_sft_learns(sft_run):
    losses = [row["loss"] for row in rows_of(sft_run)]
    assert losses[-1] < losses[0]


def test_kto_starts_at_zero_and_saves_an_adapter_that_moved(sft_run, place, monkeypatch):
    result = run(kto, place, monkeypatch, place / "kto.jsonl", *SHORT, "--from-run", sft_run, "--learning-rate", "1e-3")
    assert result.exit_code == 0, result.output
    folder = Path(result.stdout.strip())
    first = rows_of(folder)[0]
    assert first["kl"] == 0 and abs(first["rewards/chosen"]) < 1e-3 and abs(first["rewards/rejected"]) < 1e-3
    assert rows_of(folder)[-1]["rewards/chosen"] != 0
    assert yaml.safe_load((folder / "config.yaml").read_text())["sft_run"] == str(sft_run)
    before, after = (load_file(p / "final_model/adapter_model.safetensors") for p in (sft_run, folder))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_sft_packs_rows_in_the_dtype_that_is_asked_for(place, monkeypatch):
    flags = [*SHORT, "--packing", "--max-length", "1200", "--dtype", "float32"]
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *flags)
    assert result.exit_code == 0, result.output
    assert "rows in" in result.output and "packs of at most 1200 tokens" in result.output
    folder = Path(result.stdout.strip())
    assert len(rows_of(folder)) < 6 and not (folder / "probe.json").exists()


def test_kto_with_other_losses_says_what_they_are(sft_run, place, monkeypatch):
    flags = [*SHORT, "--from-run", sft_run, "--loss-type", "kto_s", "--shared-prefix", "--undesirable-weight", "3"]
    result = run(kto, place, monkeypatch, place / "kto.jsonl", *flags)
    assert result.exit_code == 0, result.output
    for said in ("kto_s is experimental and published nowhere", "outside of paper's 1 to 1.5 and TRL's 1 to 1.33"):
        assert said in result.output
    assert rows_of(Path(result.stdout.strip()))[0]["kl"] == 0


def test_eval_only_measures_a_run_and_trains_nothing(sft_run, place, monkeypatch):
    before = set((place / "runs").glob("*"))
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *SHORT, "--eval-fraction", "0.2", "--eval-only", sft_run)
    assert result.exit_code == 0, result.output
    done = json.loads((sft_run / "done.json").read_text())
    assert json.loads(result.stdout)["eval_loss"] == pytest.approx(done["eval_loss"], abs=1e-2)
    flags = [*SHORT, "--from-run", sft_run, "--eval-only", sft_run]
    figures = json.loads(run(kto, place, monkeypatch, place / "kto.jsonl", *flags).stdout)
    assert figures["loss"] == pytest.approx(0.5) and figures["kl"] == figures["rewards/margins"] == 0
    assert set((place / "runs").glob("*")) == before
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *SHORT, "--eval-only", place)
    assert (result.exit_code, "holds no adapter" in result.output) == (2, True)


def test_kto_refuses_a_reference_that_is_not_the_model_it_starts_from(sft_run, place, monkeypatch):
    monkeypatch.setattr("lib.kto_torch.reference_logps", lambda *_: dict.fromkeys(range(16), (-9.0, -9.0)))
    result = run(kto, place, monkeypatch, place / "kto.jsonl", *SHORT, "--from-run", sft_run)
    assert result.exit_code == 2
    assert "rewards and KL must be 0" in result.output


@pytest.mark.parametrize(
    "rows, said",
    [
        ([call_row(i) for i in range(4)], "needs a label"),
        ([call_row(i, True) for i in range(4)], "needs both labels; all 4 rows are true"),
    ],
)
def test_kto_refuses_labels_it_cannot_learn_from(sft_run, place, monkeypatch, tmp_path, rows, said):
    write_rows(tmp_path / "rows.jsonl", rows)
    result = run(kto, place, monkeypatch, tmp_path / "rows.jsonl", *SHORT, "--from-run", sft_run)
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_sft_leaves_out_false_rows_and_refuses_when_none_is_left(place, monkeypatch, tmp_path):
    write_rows(tmp_path / "false.jsonl", [call_row(1, False)])
    result = run(sft, place, monkeypatch, tmp_path / "false.jsonl", *SHORT)
    assert (result.exit_code, "not labelled false" in result.output) == (2, True)


def test_rows_longer_than_the_limit_are_named_and_counted(place, monkeypatch):
    result = run(
        sft, place, monkeypatch, place / "sft.jsonl", *SHORT, "--rows-per-tool", "0", "--max-length", "16", "--dry-run"
    )
    assert result.exit_code == 2
    assert "24 are longer than max_length 16" in result.output and "sft.jsonl:1: " in result.output


def test_a_dry_run_shows_the_settings_and_makes_no_run(place, monkeypatch):
    before = set((place / "runs").glob("*"))
    result = run(sft, place, monkeypatch, place / "sft.jsonl", *SHORT, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "epochs                  1   (command line)" in result.output and "Dry run" in result.output
    assert set((place / "runs").glob("*")) == before


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["nothing.jsonl"], "no such file"),
        (["datasets"], "is a directory"),
        (["--size", "9b"], "SIZE is '9b'"),
        (["--learning-rate", "-1"], "must be more than 0"),
    ],
)
def test_bad_input_ends_in_a_sentence(place, monkeypatch, arguments, said):
    result = run(sft, place, monkeypatch, *arguments, *FLAGS)
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert "Traceback" not in result.output


def test_resume_is_refused_when_a_setting_changed(place, monkeypatch):
    from lib import runs

    monkeypatch.setattr(runs, "RUNS", place / "changed")
    runs.create("sft", "tiny", {"settings": {"epochs": 99.0}})
    arguments = [place / "sft.jsonl", *SHORT, "--resume", "--model", place / "model"]
    result = CliRunner().invoke(sft, list(map(str, arguments)))
    assert result.exit_code == 2
    assert "epochs (99.0 then, 1.0 now)" in result.output


def test_a_share_of_the_rows_stays_whole_and_the_others_end_with_their_first_call():
    from lib.rendering import Rendered
    from lib.training_rows import shorten

    def row(results: int) -> Rendered:
        roles = ["prompt", "trained", *["prompt"] * results, "trained"]
        labels = [-100 if role == "prompt" else 1 for role in roles]
        return Rendered("", [1] * len(roles), labels, 1, roles)

    rows = [row(2) for _ in range(200)] + [row(200) for _ in range(200)]
    shortened = shorten(rows, 0.25, seed=1)
    lengths = [len(row.input_ids) for row in shortened]
    assert set(lengths) == {2, 5, 203} and lengths.count(2) == 300
    assert 5 * lengths.count(203) < lengths.count(5), "short rows cost less and are kept whole more often"
    assert shorten(rows, 0.25, seed=1) == shortened
    assert shorten(rows, 1.0, seed=1) == rows


def test_rows_are_spread_over_the_tools_that_they_call_first():
    from lib.chat import example_from_row
    from lib.training_rows import spread

    def example(name: str):
        answer = {"role": "assistant", "content": f"tool_call: {name}\narguments: {{}}" if name else "No."}
        return "x", example_from_row({"conversations": [{"role": "user", "content": "Do it"}, answer]})[0]

    examples = [example(name) for name in ["often"] * 50 + ["rare"] * 3 + [""] * 10]
    kept, left = spread(examples, 5, seed=1)
    assert len(left) == 50 and [example for example in examples if example in kept or example in left] == examples
    assert [len(e.calls) and e.calls[0].name for _, e in kept] == ["often"] * 5 + ["rare"] * 3 + [0] * 5
    assert spread(examples, 5, seed=1) == (kept, left)
    assert spread(examples, 0, seed=1) == (examples, [])


def test_rows_left_out_come_in_cut_behind_a_name_but_never_held_out_ones(place, monkeypatch):
    from lib.chat import example_from_row
    from lib.config import load_config, load_size
    from lib.held_out import is_held_out
    from lib.tokenizer_torch import load_tokenizer
    from lib.training_rows import name_rows

    tokenizer = load_tokenizer(place / "model", None)
    examples = [("x", example_from_row(call_row(number))[0]) for number in range(40)]
    settings = {"names_per_tool": 7, "eval_fraction": 0.3}
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), settings)
    rows = name_rows(examples, tokenizer, config)
    assert len(rows) == 7 and rows == name_rows(examples, tokenizer, config)
    told = [tokenizer.decode(row.input_ids) for row in rows]
    assert all("noteKeeper_add" in text and "context" not in text for text in told)
    apart = [example for _, example in examples if is_held_out(example, 0.3)]
    asked = {example.turns[0].text for example in apart}
    assert apart and not any(question in text for question in asked for text in told)

    flags = [*SHORT, "--eval-fraction", "0", "--rows-per-tool", "4", "--names-per-tool", "5", "--dry-run"]
    answer = run(sft, place, monkeypatch, place / "sft.jsonl", *flags)
    assert answer.exit_code == 0 and "sft.jsonl: 9 rows," in answer.output, answer.output


def test_a_share_of_the_rows_has_a_loss_on_the_context_of_its_calls():
    from lib.rendering import Rendered
    from lib.training_rows import thin_context

    rows = [Rendered("", [1, 2, 3], [-100, 2, 3], 1, ["prompt", "context", "trained"]) for _ in range(200)]
    thinned = thin_context(rows, 0.3, seed=1)
    assert 40 <= sum(row.trained == 2 for row in thinned) <= 80
    assert all(row.labels in ([-100, 2, 3], [-100, -100, 3]) for row in thinned)
    assert thin_context(rows, 0.3, seed=1) == thinned and thin_context(rows, 1.0, seed=1) == rows
