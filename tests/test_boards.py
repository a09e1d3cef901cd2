"""--report-to trackio and wandb: project, run and figures arrive at the board's own calls, and nothing is published."""

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib.config import load_config, load_size
from lib.jsonl import write_rows
from lib.training_torch import arguments
from scripts.sft import main as sft
from tests.tiny_model import call_row, write_tiny_model

# A stand-in with the calls that transformers makes of trackio; it writes down what it is told.
TRACKIO = """
import contextvars, json, pathlib
__version__ = "0.30.0"
TOLD = pathlib.Path(__file__).with_name("told.jsonl")
def tell(**what):
    with open(TOLD, "a") as file:
        file.write(json.dumps(what, default=str) + "\\n")
class context_vars:
    current_space_id = contextvars.ContextVar("space", default=None)
class Config(dict):
    def update(self, values, allow_val_change=False):
        tell(call="config")
config = Config()
def init(**settings):
    tell(call="init", **settings)
def log(values, step=None):
    tell(call="log", values=values, step=step)
def finish():
    tell(call="finish")
def freeze(**settings):
    tell(call="freeze")
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *args, **kwargs: None
"""


@pytest.fixture
def trackio(tmp_path, monkeypatch):
    """The file in which the stand-in writes what it was told."""
    package = tmp_path / "site/trackio"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(TRACKIO)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield package / "told.jsonl"
    sys.modules.pop("trackio", None)


def test_trackio_gets_project_run_and_losses_and_publishes_nothing(tmp_path, monkeypatch, trackio):
    write_tiny_model(tmp_path / "model")
    write_rows(tmp_path / "sft.jsonl", (call_row(i) for i in range(8)))
    monkeypatch.setattr("lib.runs.RUNS", tmp_path / "runs")
    flags = ["--yes", "--epochs", "1", "--log-every", "1", "--report-to", "trackio", "--project", "mine"]
    answer = CliRunner().invoke(sft, [str(tmp_path / "sft.jsonl"), "--model", str(tmp_path / "model"), *flags])
    assert answer.exit_code == 0, answer.output
    told = trackio.read_text()
    run = Path(answer.stdout.strip()).name
    assert f'"project": "mine", "name": "{run}"' in told and '"train/loss"' in told
    assert '"call": "freeze"' not in told


def test_wandb_gets_its_project_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "")
    monkeypatch.delenv("WANDB_PROJECT")
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), {"report_to": "wandb", "project": "mine"})
    given = arguments(config, tmp_path / "20261129_070000-sft-tiny", "cpu", False)
    assert os.environ["WANDB_PROJECT"] == "mine" and given["run_name"] == "20261129_070000-sft-tiny"
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    arguments(config, tmp_path, "cpu", False)
    assert os.environ["WANDB_PROJECT"] == "theirs", "the environment wins"


def test_a_board_that_is_not_installed_is_said_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.situation.util.find_spec", lambda name: None)
    answer = CliRunner().invoke(sft, ["--model", str(tmp_path), "--report-to", "trackio", "--yes"])
    assert answer.exit_code == 2 and "pip install trackio, or --report-to none" in answer.output
