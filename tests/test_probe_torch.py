"""The dtype of a training: asked for, or chosen by a probe that a resumed run does not repeat."""

from types import SimpleNamespace

import pytest
import torch

from lib import probe_torch
from lib.probe_torch import PROBE, choose_dtype, speed


def job(run, dtype="auto", platform="cpu", evaluated=None):
    return SimpleNamespace(run=run, platform=platform, evaluated=evaluated, config=SimpleNamespace(dtype=dtype))


@pytest.fixture
def speeds(monkeypatch):
    """Made-up speeds; each probe takes the next two."""
    found = []
    monkeypatch.setattr(probe_torch, "speed", lambda dtype: found.pop(0))
    return found


@pytest.mark.parametrize(("half", "full", "best"), [(250.0, 60.0, torch.bfloat16), (9.0, 60.0, torch.float32)])
def test_the_faster_dtype_is_taken_said_and_kept_for_a_resumed_run(tmp_path, speeds, capsys, half, full, best):
    speeds += [half, full]
    assert choose_dtype(job(tmp_path)) is best
    assert f"bfloat16 {half:g} GFLOP/s, float32 {full:g} GFLOP/s" in capsys.readouterr().err
    assert choose_dtype(job(tmp_path)) is best and not speeds, "it was not probed again"


def test_nothing_is_probed_where_the_recipe_decides_or_a_gpu_is_there(tmp_path, speeds):
    assert choose_dtype(job(tmp_path, "float32")) is torch.float32
    assert choose_dtype(job(tmp_path, platform="cuda")) is torch.bfloat16
    assert not (tmp_path / PROBE).exists()


def test_an_evaluation_writes_nothing(tmp_path, speeds):
    speeds += [1.0, 2.0]
    assert choose_dtype(job(tmp_path, evaluated=tmp_path)) is torch.float32
    assert list(tmp_path.iterdir()) == []


def test_a_speed_is_measured_and_random_numbers_stay_as_they_are():
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    assert speed(torch.float32, seconds=0.0) > 0
    assert torch.rand(1) == wanted
