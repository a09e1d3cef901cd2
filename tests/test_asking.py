"""Questions at a terminal: a list of finished runs with losses and scores, and no question where nobody sits."""

import json

import click
import pytest
from click.testing import CliRunner

from lib import asking
from lib.errors import CannotRun
from scripts import gguf


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs, the newest of them not finished; lib.asking looks for them."""
    for name, done in (
        ("20261101_100000-sft-tiny", {"eval_loss": 0.52314, "train_loss": 0.66}),
        ("20261101_110000-kto-tiny", {"kl": 0}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("{}")
        (tmp_path / name / "done.json").write_text(json.dumps(done | {"steps": 7}))
    (tmp_path / "20261101_120000-sft-tiny").mkdir()
    (tmp_path / "20261101_120000-sft-tiny" / "config.yaml").write_text("{}")
    monkeypatch.setattr("lib.runs.RUNS", tmp_path)
    return tmp_path


def answered(function, text):
    """(what the function gave, what was shown) with these lines typed."""
    found = []
    answer = CliRunner().invoke(click.command()(lambda: found.append(function())), input=text)
    assert answer.exception is None, answer.exception
    return found[0], answer.output


def test_the_finished_runs_are_listed_newest_first_with_losses_and_scores(runs):
    chosen, shown = answered(lambda: asking.ask_run(lambda run: "18/47" if "kto" in run.name else ""), "9\n2\n")
    assert chosen.name == "20261101_100000-sft-tiny"
    lines = shown.splitlines()
    assert "kto-tiny" in lines[0] and "kl 0" in lines[0] and lines[0].endswith("18/47")
    assert "eval_loss 0.5231, train_loss 0.66" in lines[1] and lines[1].endswith("not evaluated")
    assert "120000" not in shown


def test_enter_takes_the_newest(runs):
    assert answered(lambda: asking.ask_run(str), "\n")[0].name == "20261101_110000-kto-tiny"


def test_without_finished_runs_it_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.RUNS", tmp_path)
    with pytest.raises(CannotRun, match="Make one: make sft"):
        asking.ask_run(str)


def test_make_gguf_asks_only_where_somebody_can_choose(runs, monkeypatch):
    monkeypatch.setattr("evaluator.scores.in_short", lambda run: "")
    monkeypatch.setattr(asking, "may_ask", lambda: False)
    assert gguf.chosen_run(None).name == "20261101_110000-kto-tiny"
    monkeypatch.setattr(asking, "may_ask", lambda: True)
    assert answered(lambda: gguf.chosen_run(None), "2\n")[0].name == "20261101_100000-sft-tiny"
    assert gguf.chosen_run(str(runs / "20261101_110000-kto-tiny")).name == "20261101_110000-kto-tiny"


def test_choices_and_yes_or_no(runs):
    assert (
        answered(lambda: asking.ask("What of it?", "lora", ("lora", "merged_16bit")), "x\nmerged_16bit\n")[0]
        == "merged_16bit"
    )
    assert answered(lambda: asking.ask_yes("GGUF?", True), "\n")[0] is True
