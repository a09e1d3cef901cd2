"""bench-gguf: what is measured of a GGUF file, and which quant is taken, by the paired test and not by luck."""

import json

import pytest
from click.testing import CliRunner

from evaluator import quants
from lib import charts, gguf_speed
from lib.errors import CannotRun
from lib.templates import template_for
from scripts.bench_gguf import main
from tests.gguf_support import write_toy_gguf
from tests.ship_support import SETTINGS, write_ggufs, write_result


@pytest.fixture
def run(tmp_path):
    """A run with f16, Q8_0 and Q4_K_M, not evaluated."""
    run = tmp_path / "20261101_110000-kto-tiny"
    (run / "final_model").mkdir(parents=True)
    (run / "final_model" / "adapter_model.safetensors").write_bytes(b"adapter")
    (run / "config.yaml").write_text(json.dumps({"method": "kto", "size": "tiny", "settings": SETTINGS}))
    (run / "done.json").write_text("{}")
    return run, write_ggufs(run, ("f16", "Q8_0", "Q4_K_M"))


def with_speeds(run):
    """Its rows as measured: the smaller, the faster."""
    rows = quants.quants_of(run)
    speeds = {"f16": 10.0, "Q8_0": 15.0, "Q4_K_M": 20.0}
    return quants.judged([row | {"load_s": 0.5, "prompt_tps": 100.0, "write_tps": speeds[row["type"]]} for row in rows])


def test_the_smallest_file_that_passes_as_many_cases_is_taken(run):
    folder, paths = run
    for kind, passed in (("f16", 20), ("Q8_0", 20), ("Q4_K_M", 19)):
        write_result(folder, paths[kind], passed, of=30)
    rows = with_speeds(folder)
    best, why = quants.choice(rows)
    assert best["type"] == "Q4_K_M" and "0 more and 1 fewer of 30 than f16" in why
    assert why.startswith("Take Q4_K_M: 6 kB, 67 % of f16, and 2.0 times its speed of writing.") and "noise" in why
    assert why.endswith("KL from f16: 0.0123 nats a token.")
    write_result(folder, paths["Q4_K_M"], 4, of=30)
    best, why = quants.choice(with_speeds(folder))
    assert best["type"] == "Q8_0" and why.endswith("by more than 5 points: Q4_K_M.")
    write_result(folder, paths["Q8_0"], 4, of=30)
    assert quants.choice(with_speeds(folder))[1] == "Take f16: every quant passes clearly fewer cases."


def test_five_of_47_are_too_many_even_where_the_test_cannot_tell(run):
    folder, paths = run
    for kind, passed in (("f16", 25), ("Q8_0", 24), ("Q4_K_M", 20)):
        write_result(folder, paths[kind], passed, of=47)
    rows = with_speeds(folder)
    assert next(row["step"]["p"] for row in rows if row["type"] == "Q4_K_M") > 0.05
    assert quants.choice(rows)[0]["type"] == "Q8_0"


def test_without_evaluations_nothing_is_recommended(run):
    best, why = quants.choice(with_speeds(run[0]))
    assert best is None and "make ladder" in why


def test_an_evaluation_of_another_file_or_one_that_was_stopped_does_not_count(run):
    folder, paths = run
    write_result(folder, paths["f16"], 20, of=30)
    place = write_result(folder, paths["Q4_K_M"], 20, of=30)
    result = json.loads(place.read_text())
    result["settings"]["gguf_sha256"] = "0" * 64
    place.write_text(json.dumps(result))
    write_result(folder, paths["Q8_0"], 20, of=30, stopped="interrupted")
    assert [row["result"] is None for row in quants.quants_of(folder)] == [False, True, True]


def test_the_table_the_markdown_and_the_page_show_all_figures(run):
    folder, paths = run
    write_result(folder, paths["f16"], 20, of=30)
    write_result(folder, paths["Q4_K_M"], 19, of=30)
    rows = with_speeds(folder)
    _, why = quants.choice(rows)
    text, page = quants.markdown(rows, why), quants.page(folder, rows, why)
    for told in ("20/30 (67 %, 49 %–81 %)", "0.0123", "97.0 %", "0.5 s", "20.0", "loses 1, gains 0: noise"):
        assert told in text and told in page, told
    assert page.count("<svg") == 5 and "pass rate by file size" in page and "://" not in page
    assert "–" in text  # Q8_0 was not evaluated


def test_a_cut_file_and_a_run_without_files_are_sentences(run, tmp_path):
    folder, paths = run
    paths["Q8_0"].write_bytes(b"GGUF")
    with pytest.raises(CannotRun, match="it was cut short.*Make it again: make gguf RUN="):
        quants.quants_of(folder)
    with pytest.raises(CannotRun, match="has no GGUF files"):
        quants.quants_of(tmp_path)


def test_a_point_lies_where_its_figures_say():
    svg = charts.scatter([("Q8_0", 50.0, 0.5, 0.25, 0.75), ("f16", 100.0, 1.0, 0.9, 1.0)], "MB", "plot <b>")
    left, width = 34, charts.WIDTH - 60 - 34
    assert f'cx="{left + width / 2:.1f}" cy="85.0"' in svg and f'cx="{left + width:.1f}" cy="10.0"' in svg
    names = [f'y="{y}" text-anchor="middle">{name}<' for name, y in (("Q8_0", 134.5), ("f16", 5.0))]  # in turn
    assert all(name in svg for name in names)
    assert "plot &lt;b&gt;" in svg and "Q8_0: 50 MB, 50%" in svg


def test_a_served_file_is_measured_and_the_page_written(llama, run):
    folder, paths = run
    for path in paths.values():
        write_toy_gguf(path, template_for())
    manifest = json.loads((folder / "gguf" / "manifest.json").read_text())
    for kind, path in paths.items():
        manifest["files"][path.name] = {"type": kind, "bytes": path.stat().st_size}
    (folder / "gguf" / "manifest.json").write_text(json.dumps(manifest))
    answer = CliRunner().invoke(main, ["--run", str(folder), "--rounds", "1"])
    assert answer.exit_code == 0, answer.output
    assert "make ladder" in answer.output and "Q4_K_M" in (folder / "gguf" / "quants.md").read_text()
    assert (folder / "gguf" / "quants.html").read_text().startswith("<!doctype html>")


def test_a_file_that_does_not_load_ends_the_measuring_in_a_sentence(llama, tmp_path):
    (tmp_path / "cut.gguf").write_bytes(b"GGUF")
    with pytest.raises(CannotRun, match="while loading"):
        gguf_speed.measure(tmp_path / "cut.gguf", 1)
