"""The benchmark of trainings: its table and its verdict, from made-up figures; legs that fail."""

import pytest

from lib import bench
from lib.errors import CannotRun


def figures(**legs):
    return {kind: [{"tokens_per_s": speed, "eval_loss": loss} for speed, loss in rows] for kind, rows in legs.items()}


FOUND = figures(plain=[(100, 1.0), (140, 1.0)], ours=[(600, 1.01), (600, 1.01)], tuned=[(300, 1.0), (300, 1.0)])


def test_ours_is_compared_with_each_leg_by_medians():
    lines, met = bench.compared(FOUND, {"plain": 5.0, "tuned": 2.0}, noise=0.02)
    assert met and lines == [
        "ours/plain 5.00 (target 5), loss +0.0100 (within 0.02)",
        "ours/tuned 2.00 (target 2), loss +0.0100 (within 0.02)",
    ]
    assert not bench.compared(FOUND, {"plain": 5.1, "tuned": 2.0}, noise=0.02)[1], "too slow"
    assert not bench.compared(FOUND, {"plain": 5.0}, noise=0.009)[1], "it learns something else"


def test_the_table_holds_medians_and_the_spread_of_speeds():
    lines = bench.table(FOUND, {"tokens_per_s": ".1f", "eval_loss": ".4f"})
    assert [line.split() for line in lines[:2]] == [
        ["leg", "tokens_per_s", "eval_loss", "spread"],
        ["plain", "120.0", "1.0000", "100.0-140.0"],
    ]


def test_a_leg_runs_by_itself_and_its_failure_is_a_sentence(tmp_path, monkeypatch):
    module = tmp_path / "leg_of_a_test.py"
    module.write_text(
        "import json, os, sys\nprint('noise')\nprint(json.dumps([sys.argv[1:], os.environ.get('MALLOC_TOP_PAD_')]))"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    assert bench.leg("leg_of_a_test", "plain", "data", 3) == [["plain", "data", "3"], None]
    assert bench.leg("leg_of_a_test", "ours") == [["ours"], bench.ALLOCATOR["MALLOC_TOP_PAD_"]]
    module.write_text("raise SystemExit('no memory')")
    with pytest.raises(CannotRun, match="the ours leg failed: no memory"):
        bench.leg("leg_of_a_test", "ours")
