"""Curves and tables of trainings: what a log holds is drawn where it belongs, and a broken log says so."""

import json
import math
import xml.etree.ElementTree as ET

import pytest
import yaml
from click.testing import CliRunner

from lib import charts
from lib.errors import CannotRun
from lib.run_figures import differing, figures, read_log, read_run
from lib.training_page import MOST, page, thinned
from scripts.compare_runs import main as compare_runs
from scripts.report import main as report
from tests.page_support import HOSTILE
from tests.test_evaluator_page import Reader


def write_run(folder, name="20261129_070000-kto-tiny", steps=30, done=True, **settings):
    """A run as a training leaves it, without weights."""
    run = folder / name
    (run / "logs").mkdir(parents=True)
    manifest = {"method": name.split("-")[1], "size": "tiny", "base": "house/model", "data": {"a.jsonl": "ab" * 32}}
    manifest |= {"settings": {"learning_rate": 1e-5, "epochs": 1.0} | settings, "versions": {"torch": "2.13.0"}}
    (run / "config.yaml").write_text(yaml.safe_dump(manifest))
    rows = [
        {"step": step, "timestamp": "2026-11-29T07:00:00+00:00", "loss": 2 / step, "learning_rate": 1e-5 * step}
        | {"grad_norm": 1.0, "kl": step / 10, "rewards/chosen": step, "rewards/rejected": -step}
        | {"rewards/margins": 2 * step, "tokens_per_s": 100.0 + step, "memory_gb": 1.5}
        for step in range(1, steps + 1)
    ]
    (run / "logs/training_1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "logs/training_latest.jsonl").symlink_to("training_1.jsonl")
    if done:
        (run / "done.json").write_text(json.dumps({"steps": steps, "eval_loss": 0.51234, "seconds": 61.0}))
    return run


def test_a_page_holds_every_chart_and_needs_nothing(tmp_path):
    text = page([read_run(write_run(tmp_path))])
    reader = Reader(text)
    assert reader.open == [] and reader.fetched == [] and reader.handlers == []
    assert reader.tags.count("figure") == 8, "loss, rate, norm, KL, rewards, margin, speed, memory"
    assert "script-src 'sha256-" in reader.policy and reader.policy.startswith("default-src 'none';")
    assert "eval loss" in text and "0.5123" in text and "rewards" in text.lower()


def test_lines_are_drawn_to_scale():
    svg = charts.lines([charts.Line("loss", "c0", [(0, 0.0), (5, 10.0), (10, 5.0)])], "loss by step")
    [line] = ET.fromstring(svg).iter("polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    left, right, top, bottom = charts.LEFT, charts.RIGHT, charts.TOP, charts.BOTTOM
    assert points == [(left, bottom), ((left + right) / 2, top), (right, pytest.approx((top + bottom) / 2))]


def test_a_gap_is_not_bridged_and_a_lone_point_is_a_dot():
    points = [(1, 1.0), (2, 2.0), (3, None), (4, 4.0), (5, None), (6, 6.0), (7, 7.0)]
    assert charts.unbroken(points) == [[(1, 1.0), (2, 2.0)], [(4, 4.0)], [(6, 6.0), (7, 7.0)]]
    root = ET.fromstring(charts.lines([charts.Line("x", "c0", points)], "x"))
    assert (len(list(root.iter("polyline"))), len(list(root.iter("circle")))) == (2, 1)


@pytest.mark.parametrize(
    "low, high", [(0, 0), (0, 1), (-3, 7), (1e-7, 5e-6), (0.999, 1.001), (1e9, 2e9), (-5, -5), (0, 3e-12)]
)
def test_ticks_are_few_round_and_around_all(low, high):
    found = charts.ticks(low, high)
    steps = {round((b - a) / (found[1] - found[0]), 6) for a, b in zip(found, found[1:], strict=False)}
    assert 2 <= len(found) <= 6 and steps == {1.0}
    assert found[0] <= low and found[-1] >= high


@pytest.mark.parametrize("given", [[], [(None, [])], [(3, [1.0])], [(3, [1.0, 1.0, 1.0])]])
def test_odd_lines_are_drawn(given):
    drawn = [charts.Line("x", "c0", [(i, y) for i, y in enumerate(ys)]) for _, ys in given]
    ET.fromstring(charts.lines(drawn, "x"))


def test_a_long_log_is_drawn_by_means():
    points = [(i, float(i % 2)) for i in range(10 * MOST)]
    means = thinned(points)
    assert len(means) == MOST and means[-1] == (10 * MOST - 1, 0.5)
    assert thinned(points[:MOST]) == points[:MOST]
    assert thinned([(i, None) for i in range(2 * MOST)])[0] == (1, None)


def test_a_broken_log_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = ['{"step": 2, "loss": 1}', "", "[1]", '{"step": "x"}', '{"step": 1, "loss": NaN}', '{"step": 2, "loss": 3}']
    path.write_bytes("\r\n".join(rows).encode() + b'\n\xff\xfe\n{"step": 3, "lo')
    assert [(row["step"], row["loss"]) for row in read_log(path)][1] == (2, 3)
    assert math.isnan(read_log(path)[0]["loss"]) and read_log(tmp_path / "none") == []


def test_what_cannot_be_drawn_is_said(tmp_path):
    run = write_run(tmp_path, steps=3, done=False)
    with open(run / "logs/training_1.jsonl", "a") as log:
        log.write('{"step": 4, "loss": NaN, "learning_rate": null, "kl": "much"}\n')
    text = page([read_run(run)])
    assert "is not finished" in text and "1 rows without a finite loss" in text
    (run / "logs/training_1.jsonl").write_text("")
    assert "has no readable log" in page([read_run(run)])


def test_hostile_names_stay_text(tmp_path):
    run = read_run(write_run(tmp_path, note=HOSTILE.replace("\x00", "")))
    hostile = type(run)(HOSTILE, run.method, run.size, run.settings, run.facts, run.rows, run.done)
    reader = Reader(page([run, hostile]))
    assert reader.open == [] and reader.handlers == [] and reader.tags.count("script") == 2
    assert "img" not in reader.tags


def test_figures_and_what_differs(tmp_path):
    one = read_run(write_run(tmp_path, "20261129_070000-sft-tiny"))
    other = read_run(write_run(tmp_path, "20261129_080000-sft-tiny", done=False, epochs=2.0))
    found = figures(one)
    assert (found["loss"], found["tokens/s"], found["state"], found["steps"]) == (
        "2 → 0.06667",
        "115.5",
        "finished",
        "30",
    )
    assert figures(other)["state"] == "unfinished" and "seconds" not in figures(other)
    assert differing([one.settings, other.settings]) == ["epochs"]


def test_reports_and_tables_by_command(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.runs.RUNS", tmp_path)
    one, other = write_run(tmp_path), write_run(tmp_path, "20261129_080000-kto-tiny", learning_rate=2e-6)
    answer = CliRunner().invoke(report, [str(one)])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.strip() == str(one / "training.html") and (one / "training.html").is_file()
    both = CliRunner().invoke(report, [one.name, str(other), "--page", str(tmp_path / "both.html")])
    assert both.exit_code == 0 and "2 trainings side by side" in (tmp_path / "both.html").read_text()
    table = CliRunner().invoke(compare_runs, [])
    assert table.exit_code == 0 and other.name in table.stdout and "2e-06" in table.stdout
    rows = json.loads(CliRunner().invoke(compare_runs, [one.name, other.name, "--json"]).stdout)
    assert [row["settings"] for row in rows] == [{"learning_rate": "1e-05"}, {"learning_rate": "2e-06"}]


@pytest.mark.parametrize("command", [report, compare_runs])
def test_a_place_without_a_run_ends_in_a_sentence(tmp_path, command):
    answer = CliRunner().invoke(command, [str(tmp_path)])
    assert answer.exit_code == 2 and str(tmp_path) in answer.output and "Traceback" not in answer.output
    with pytest.raises(CannotRun, match="no run"):
        read_run(tmp_path)


@pytest.mark.parametrize("width", [320, 1200])
def test_in_a_browser_the_page_fits_and_values_can_be_read(chromium, tmp_path, width):
    runs = [write_run(tmp_path, f"20261129_0{n}0000-kto-tiny", steps=5 * n) for n in (4, 6)]
    path = tmp_path / "page.html"
    path.write_text(page([read_run(run) for run in runs]), encoding="utf-8")
    chromium.open(path, width=width)
    assert chromium.js("document.documentElement.scrollWidth") <= width
    chromium.js("document.querySelector('figure.chart').focus()")
    readout = "document.querySelector('figure.chart .readout').textContent"
    assert "step 30" in chromium.js(readout) and "0.06667" in chromium.js(readout)
    where = "{clientX: box.left + box.width * 48 / 360, clientY: box.top + 20, bubbles: true}"
    chromium.js(
        f"{{ const svg = document.querySelector('figure.chart svg'); const box = svg.getBoundingClientRect();"
        f" svg.dispatchEvent(new PointerEvent('pointermove', {where})) }}"
    )
    assert "step 1" in chromium.js(readout) and chromium.js(readout).count(" 2") == 2, "the first loss of both runs"
    assert chromium.complaints() == [] and chromium.requested() == [path.as_uri()]
