"""Run directories, locks and metric logs."""

import json
import os

import pytest

from lib import runs
from lib.errors import CannotRun


@pytest.fixture(autouse=True)
def own_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.RUNS", tmp_path)


def test_two_runs_started_together_get_two_directories():
    first, second = (runs.create("sft", "tiny", {}) for _ in range(2))
    assert first != second
    assert runs.read_manifest(second)["method"] == "sft"


def test_only_a_run_with_done_json_counts_as_finished(tmp_path):
    old = runs.create("sft", "tiny", {})
    runs.finish(old, {"loss": 1.0})
    new = runs.create("sft", "tiny", {})
    assert runs.newest("sft") == old
    assert runs.newest("sft", finished=False) == new
    assert runs.newest("kto") is None
    with pytest.raises(CannotRun, match="not finished"):
        runs.finished_run(str(new), "sft")
    with pytest.raises(CannotRun, match="no finished kto run"):
        runs.finished_run(None, "kto")
    with pytest.raises(CannotRun, match="no run directory"):
        runs.finished_run(str(tmp_path / "nothing"), "sft")


def test_a_locked_run_refuses_a_second_training():
    run = runs.create("sft", "tiny", {})
    with runs.Lock(run), pytest.raises(CannotRun, match=f"process {os.getpid()}"), runs.Lock(run):
        pass
    assert not (run / "lock").exists()


@pytest.mark.parametrize("left", ["999999999", "", "nonsense"])
def test_a_lock_whose_process_is_gone_is_taken_over(left):
    run = runs.create("sft", "tiny", {})
    (run / "lock").write_text(left)
    with runs.Lock(run):
        assert (run / "lock").read_text() == str(os.getpid())


def test_metrics_go_on_in_one_log_and_forget_steps_after_the_checkpoint():
    run = runs.create("sft", "tiny", {})
    metrics = runs.Metrics(run)
    for step in (5, 10, 15):
        metrics.write(step, loss=1.0 / step)
    metrics.close()
    resumed = runs.Metrics(run)
    resumed.drop_after(10)
    resumed.write(15, loss=0.5)
    resumed.close()
    rows = [json.loads(line) for line in (run / "logs/training_latest.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [5, 10, 15]
    assert rows[-1]["loss"] == 0.5
    assert len(list((run / "logs").glob("training_2*.jsonl"))) == 1
