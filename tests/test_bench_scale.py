"""scripts/bench_scale.py: its rows are valid and different, but for those it plants, and its limits are held."""

import json

from lib.toolset import load_toolset
from lib.validation import check_lines
from scripts.bench_scale import ALIKE, SAME, made_row, missed, print_figures


def test_rows_are_valid_and_differ_but_for_the_planted_ones():
    lines = [json.dumps(made_row(number)).encode() for number in range(2 * SAME + ALIKE)]
    report = check_lines(lines, 1, load_toolset())
    assert report.problems == [] and 0 < report.true < len(lines)
    assert lines[SAME] == lines[SAME - 1] and lines[ALIKE + 1] != lines[ALIKE]
    assert len(set(lines)) == len(lines) - 3
    assert lines[5] == json.dumps(made_row(5)).encode()


def test_growth_memory_and_missed_duplicates_are_told(tmp_path, capsys):
    path = tmp_path / "x"
    path.write_bytes(b"x")
    small = {"seconds": 1.0, "cpu": 1.0, "peak": 50e6}
    assert print_figures("validate", 1000, path, small, None, 20) == []
    assert print_figures("validate", 10_000, path, {"seconds": 9.0, "cpu": 9.0, "peak": 55e6}, (1000, small), 20) == []
    told = print_figures("validate", 10_000, path, {"seconds": 90.0, "cpu": 90.0, "peak": 500e6}, (1000, small), 20)
    assert "exponent 1.95" in told[0] and "bytes a row" in told[1]
    assert "1.95" in capsys.readouterr().out
    assert missed(1000, {"same": 24, "alike": 20}) == []
    assert missed(1000, {"same": 23, "alike": 20}) and missed(1000, {"same": 24, "alike": 10})
