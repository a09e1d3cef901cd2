"""make setup's proof: a healthy installation trains with both methods; a broken one is said at its first step."""

import json

import pytest
from click.testing import CliRunner

from lib import verification
from scripts.verify import main


def test_this_installation_trains_sft_and_kto(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    answer = CliRunner().invoke(main, ["--json"])
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout.splitlines()[-1])
    assert [(step["step"], step["ok"]) for step in found] == [("packages", True), ("sft", True), ("kto", True)]
    assert "torch " in found[0]["detail"] and "2 steps, loss" in found[1]["detail"]


def test_a_package_that_does_not_import_is_named(monkeypatch):
    monkeypatch.setitem(verification.PACKAGES, "cpu", ("torch", "no_such_package"))
    answer = CliRunner().invoke(main, ["--json"])
    assert answer.exit_code == 1 and "make setup PLATFORM=cpu" in answer.stderr
    [step] = json.loads(answer.stdout)
    assert step["ok"] is False and "no_such_package" in step["detail"]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_training_that_ends_in_no_number_is_a_failure(monkeypatch, loss):
    class Trainer:
        @staticmethod
        def train(job):
            return {"steps": 2, "train_loss": loss}

    monkeypatch.setattr("lib.training.trainer", lambda method, platform: Trainer)
    monkeypatch.setattr(verification, "imported", lambda platform: "all")
    *_, last = verification.steps("cpu")
    assert last[0] == "sft" and "no whole adapter" in last[2]
