"""Exact resume on the CPU: killed anywhere, a training goes on as if nothing had happened, or says why it cannot."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from lib import runs
from lib.checkpoints import checkpoints, step_of
from lib.config import load_config, load_size
from lib.errors import CannotRun
from lib.jsonl import write_rows
from lib.resumption import base_digest, changes
from tests.killing import KTO, SFT, Trainings, figures_of, newest, rows_of, two_stages, wait_for_step
from tests.tiny_model import call_row, row, write_tiny_model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, data, and a server of trainings."""
    folder = tmp_path_factory.mktemp("resume")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(23)))
    write_rows(folder / "kto.jsonl", (row(f"Add note {i}{'!' * i}", f"Done {i}.", i % 2 == 0) for i in range(21)))
    return folder


@pytest.fixture(scope="module")
def trainings(place):
    with Trainings("cpu", place) as started:
        yield started


@pytest.fixture(scope="module")
def whole(place, trainings):
    """An SFT run that nobody disturbed."""
    return trainings.finish("sft", place / "whole", place / "sft.jsonl", *SFT)


def unfinished_copy(run: Path, root: Path) -> Path:
    """A copy of a run in a folder of its own, as if it had been killed before its last file."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(run, root / run.name, symlinks=True)
    (root / run.name / "done.json").unlink()
    return root / run.name


def assert_same(run: Path, other: Path):
    """The two runs logged the same figures to the last digit and ended with the same bits."""
    assert figures_of(run) == figures_of(other)
    steps = [row["step"] for row in rows_of(run)]
    assert steps == sorted(set(steps)) and len(steps) > 10
    one, two = (load_file(path / "final_model/adapter_model.safetensors") for path in (run, other))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    mine, theirs = (json.loads((path / "done.json").read_text()) for path in (run, other))
    assert {name: mine[name] for name in mine if name not in ("seconds", "tokens_per_s")} == {
        name: theirs[name] for name in theirs if name not in ("seconds", "tokens_per_s")
    }
    assert len(list((run / "logs").glob("training_2*.jsonl"))) == 1
    assert len(list((run / "checkpoints").glob("checkpoint-*"))) == 2


def test_sft_killed_six_times_ends_as_if_left_alone(place, trainings, whole):
    root = place / "killed"
    trainings.kill_at_random("sft", root, 6, place / "sft.jsonl", *SFT)
    run = trainings.finish("sft", root, place / "sft.jsonl", *SFT, "--resume")
    assert [path.name for path in root.iterdir() if (path / "config.yaml").exists()] == [run.name]
    assert_same(run, whole)


def test_kto_killed_four_times_ends_as_if_left_alone(place, trainings, whole):
    flags = [place / "kto.jsonl", *KTO, "--from-run", whole]
    alone = trainings.finish("kto", place / "kto-whole", *flags)
    trainings.kill_at_random("kto", place / "kto-killed", 4, *flags)
    run = trainings.finish("kto", place / "kto-killed", *flags, "--resume")
    assert_same(run, alone)
    assert any(row["kl"] > 0 for row in rows_of(run))
    rates = {row["step"]: row["learning_rate"] for row in rows_of(run)}
    assert rates == pytest.approx({step: two_stages(step, 48) for step in rates}, rel=1e-6) and max(rates) == 48


@pytest.mark.parametrize("name", ["optimizer.pt", "adapter_model.safetensors", "meter-0.json"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(place, trainings, whole, name):
    run = unfinished_copy(whole, place / "damaged")
    last = max((run / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    data = (last / name).read_bytes()
    (last / name).write_bytes(data[: len(data) // 2])
    assert trainings.finish("sft", run.parent, place / "sft.jsonl", *SFT, "--resume") == run
    assert f"{last} is damaged ({name} is not what was written); going back" in trainings.output.read_text()
    assert last.with_name(last.name.replace("checkpoint", "broken")).is_dir()
    assert_same(run, whole)


@pytest.mark.parametrize("lost", [(), ("final_model",)])
def test_killed_behind_the_last_step_the_end_is_made_up_for(place, trainings, whole, lost):
    run = unfinished_copy(whole, place / "late")
    for name in lost:
        shutil.rmtree(run / name)
    assert trainings.finish("sft", run.parent, place / "sft.jsonl", *SFT, "--resume") == run
    assert_same(run, whole)


def test_a_finished_run_is_only_named(place, trainings, whole):
    news, before = place / "sft.run", (whole / "done.json").read_bytes()
    flags = [place / "sft.jsonl", *SFT, "--resume", "--run-file", news]
    assert trainings.finish("sft", whole.parent, *flags) == whole
    assert "is finished; nothing is left to train" in trainings.output.read_text()
    assert news.read_text().strip() == str(whole) and (whole / "done.json").read_bytes() == before


def test_resume_without_anything_to_resume_starts(place, trainings):
    trainings.start("sft", place / "empty", place / "sft.jsonl", *SFT, "--resume", "--epochs", "1")
    assert trainings.wait() == 0 and "was interrupted: starting a new one" in trainings.output.read_text()


def test_ctrl_c_finishes_the_step_saves_it_and_ends_with_130(place, trainings, whole):
    root = place / "stopped"
    pid = trainings.start("sft", root, place / "sft.jsonl", *SFT)
    wait_for_step(root, "sft", 5)
    os.kill(pid, signal.SIGINT)
    assert trainings.wait() == 130, trainings.output.read_text()
    run, words = newest(root, "sft"), trainings.output.read_text()
    assert "Stopping after this step" in words and "make sft RESUME=1" in words and "Traceback" not in words
    assert step_of(checkpoints(run)[0]) >= 5 and not (run / "done.json").exists() and not (run / "lock").exists()
    assert trainings.finish("sft", root, place / "sft.jsonl", *SFT, "--resume") == run
    assert_same(run, whole)


def test_two_trainings_do_not_share_a_folder(place, trainings, whole):
    run = unfinished_copy(whole, place / "shared")
    with runs.Lock(run):
        trainings.start("sft", run.parent, place / "sft.jsonl", *SFT, "--resume")
        assert trainings.wait() == 2
    assert f"{run}: process {os.getpid()} is training in it. Wait, or stop it." in trainings.output.read_text()


@pytest.mark.parametrize("largest", [100_000, 300_000], ids=["the adapter", "the optimizer"])
def test_a_disk_that_is_full_during_a_save_costs_nothing(place, trainings, whole, largest):
    root = place / f"full-{largest}"
    trainings.start("sft", root, place / "sft.jsonl", *SFT, largest=largest)
    assert trainings.wait() == 2
    run, words = newest(root, "sft"), trainings.output.read_text()
    assert f"{run}: a checkpoint could not be written" in words and "Free some disk, then RESUME=1" in words
    assert "Traceback" not in words and list((run / "checkpoints").iterdir()) == []
    assert trainings.finish("sft", root, place / "sft.jsonl", *SFT, "--resume") == run
    assert_same(run, whole)


CONFIG, _ = load_config("sft", load_size("tiny", "cpu", "sft"), {})
FACTS = {
    "platform": "cpu", "base": "a", "base_digest": "1", "data": {"x.jsonl": "1"}, "template_digest": "1",
    "tokens_digest": "1", "held_out_digest": "1", "sft_run": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"base": "b"}, "the base model (b then, a now)"),
        ({"base_digest": "2"}, "the files of the base model"),
        ({"data": {"x.jsonl": "2"}, "tokens_digest": "2"}, "the data (x.jsonl)"),
        ({"data": {"y.jsonl": "1"}}, "the data (x.jsonl, y.jsonl)"),
        ({"template_digest": "2", "tokens_digest": "2"}, "the chat template"),
        ({"tokens_digest": "2"}, "the tokens of the rows"),
        ({"held_out_digest": "2", "tokens_digest": "2"}, "which rows are held out"),
        ({"data": {"x.jsonl": "2"}, "tokens_digest": "2", "held_out_digest": "2"}, "the data (x.jsonl)"),
        ({"sft_run": "runs/z"}, "the SFT run it starts from (runs/z then, None now)"),
        ({"settings": {"epochs": 9.0}}, "epochs (9.0 then, 1.0 now)"),
    ],
)
def test_what_has_changed_is_said_in_plain_words(changed, said):
    old = {"settings": dict(CONFIG.__dict__), **FACTS}
    assert changes(old, CONFIG, FACTS) == []
    old |= {"settings": old["settings"] | changed["settings"]} if "settings" in changed else changed
    assert changes(old, CONFIG, FACTS) == [said]


def test_changed_data_is_refused(place, trainings, whole, tmp_path):
    run = unfinished_copy(whole, tmp_path / "runs")
    manifest = yaml.safe_load((run / "config.yaml").read_text())
    manifest["data"] = dict.fromkeys(manifest["data"], "another")
    (run / "config.yaml").write_text(yaml.safe_dump(manifest))
    trainings.start("sft", run.parent, place / "sft.jsonl", *SFT, "--resume")
    assert trainings.wait() == 2
    assert f"cannot be resumed, these have changed: the data ({place / 'sft.jsonl'})" in trainings.output.read_text()


def test_another_split_is_refused(place, trainings, whole, tmp_path):
    """Proofs beside the data bring its rows into other families."""
    run = unfinished_copy(whole, tmp_path / "runs")
    proofs = place / "sft.proof.jsonl"
    write_rows(proofs, ({"intent": "one"} for _ in range(23)))
    trainings.start("sft", run.parent, place / "sft.jsonl", *SFT, "--resume")
    assert trainings.wait() == 2
    assert "cannot be resumed, these have changed: which rows are held out." in trainings.output.read_text()
    proofs.unlink()


def test_other_weights_of_the_same_shape_are_another_base(place, tmp_path):
    write_tiny_model(tmp_path / "other", seed=1)
    shutil.copytree(place / "model", tmp_path / "same")
    assert base_digest(place / "model") == base_digest(tmp_path / "same") != base_digest(tmp_path / "other")


def test_read_only_output_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "runs").write_text("a file where the folder should be")
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    with pytest.raises(CannotRun, match="a run's folder cannot be made"):
        runs.create("sft", "tiny", {})
