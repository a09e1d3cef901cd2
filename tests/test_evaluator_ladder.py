"""The ladder: what is there is asked once, and each step is tested against the one before."""

import contextlib
import json
import os

import pytest
from click.testing import CliRunner

from evaluator.__main__ import main as evaluate
from evaluator.cases import PROMPTS, load_cases
from evaluator.journal import Journal
from evaluator.ladder import main
from evaluator.reuse import evaluation, place_of
from lib.jsonl import read_rows
from lib.runs import create, finish
from lib.toolset import load_toolset
from tests.loopback import PROPS, chat, perfect, serving

CASES = 12
# How many of the first cases each model fails; Q8_0 fails one that the KTO model passes, and passes two more.
FAILS = {"base": range(12), "sft": range(4), "kto": range(1, 4), "Q8_0": [0, 3]}


def own_prompts(folder):
    """The first cases of full_coverage with requests of our own."""
    rows = [row for _, row in read_rows(PROMPTS / "full_coverage.jsonl")][:CASES]
    path = folder / "mine.jsonl"
    lines = [json.dumps(row | {"question": f"Job {n}, as agreed."}) for n, row in enumerate(rows)]
    path.write_text("\n".join(lines))
    return path


def model(gguf, prompts):
    """A perfect model that only talks in the cases that this file fails."""
    cases = load_cases([str(prompts)], load_toolset())
    answer = perfect(cases)
    kind = next(kind for kind in ("Q8_0", "base", "sft", "kto") if kind in gguf.name)
    failed = {cases[n].question for n in FAILS[kind]}

    def reply(path, body, number):
        if path in ("/health", "/props"):
            return PROPS
        return chat("I would rather not.") if body["messages"][0]["content"] in failed else answer(path, body, number)

    return reply


@pytest.fixture
def house(tmp_path, monkeypatch):
    """run(*options) -> click's answer, with an SFT and a KTO run whose model files answer from a loopback server."""
    prompts, asked = own_prompts(tmp_path), []
    manifest = {"platform": "cpu", "settings": {"tools_in_prompt": "none", "format": "native"}}
    monkeypatch.setattr("lib.runs.RUNS", tmp_path / "runs")
    sft = create("sft", "tiny", manifest | {"sft_run": None})
    kto = create("kto", "tiny", manifest | {"sft_run": str(sft)})
    base = tmp_path / "build" / "toolset-tiny-base"
    for folder, names in ((base, ["base-f16"]), (sft, ["sft-f16"]), (kto, ["kto-f16", "kto-Q8_0"])):
        (folder / "gguf").mkdir(parents=True)
        for name in names:
            path = folder / "gguf" / f"toolset-tiny-{name}.gguf"
            path.write_bytes(b"GGUF " + name.encode())
            os.utime(path, (1, 1))
    for folder in (sft, kto):
        finish(folder, {})
    os.utime(prompts, (1, 1))
    monkeypatch.setattr("evaluator.reuse.JUDGES", ())
    monkeypatch.setattr("lib.gguf_source.base_folder", lambda size, tools: base / "gguf")

    @contextlib.contextmanager
    def serve(gguf, **settings):
        asked.append(gguf.stem.removeprefix("toolset-tiny-"))
        with serving(model(gguf, prompts)) as server:
            server.last_words = str
            yield server

    monkeypatch.setattr("lib.server.serve", serve)

    def call(line, capture, advice):
        return CliRunner().invoke(evaluate, line[3:], catch_exceptions=False).exit_code, None

    monkeypatch.setattr("evaluator.reuse.call", call)

    def run(*options, run_name=kto):
        asked.clear()
        arguments = ["--run", run_name, "--prompts", prompts, "--out", tmp_path / "ladder.md", *options]
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    run.asked, run.folder, run.sft, run.kto, run.base = asked, tmp_path, sft, kto, base
    return run


def test_each_step_is_tested_against_the_one_before(house):
    done = house("--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0, done.stderr
    assert house.asked == ["base-f16", "sft-f16", "kto-f16", "kto-Q8_0"]
    assert [(rung["label"], rung["says"]) for rung in found["rungs"]] == [
        ("base", ""),
        ("SFT", "loses 0, gains 8: a gain beyond noise (p = .0078)"),
        ("KTO", "loses 0, gains 1: noise (p = 1)"),
        ("Q8_0", "loses 1, gains 2: noise (p = 1)"),
    ]
    assert [flip["reason"].split(":")[0] for flip in found["rungs"][3]["step"]["regressions"]] == ["no-call"]
    assert "4 runs side by side" in (house.folder / "ladder.html").read_text()


def test_what_is_missing_is_named_with_its_command(house):
    done = house()
    assert f"Q5_K_M is missing; make it with: make gguf RUN={house.kto} QUANTS=Q5_K_M" in done.stdout
    assert "9/12 (75 %" in done.stdout and "loses 1, gains 2: noise" in done.stdout
    markdown = (house.folder / "ladder.md").read_text()
    assert "| KTO | native | 9/12 (75 %" in markdown and "Q4_K_M is missing" in markdown
    assert "KTO passes 1 more and 0 fewer of 12 than SFT: noise (p = 1)" in markdown and "| gained | " in markdown


def test_results_that_hold_are_not_asked_again(house):
    house()
    done = house()
    assert house.asked == [] and "Q8_0" in done.stdout and done.stderr.count("still holds") == 4
    later = (house.kto / "eval" / "toolset-tiny-kto-f16-native" / "results.json").stat().st_mtime + 5
    os.utime(house.kto / "gguf" / "toolset-tiny-kto-f16.gguf", (later, later))
    house()
    assert house.asked == ["kto-f16"]


def test_results_asked_in_another_way_are_asked_again(house):
    house()
    path = house.sft / "eval" / "toolset-tiny-sft-f16-native" / "results.json"
    result = json.loads(path.read_text())
    for change in ({"limit": 3}, {"max_tokens": 512}, {"repeats": 4}, {"temperature": 0.7}):
        path.write_text(json.dumps(result | {"settings": result["settings"] | change}))
        house()
        assert house.asked == ["sft-f16"], change


def test_of_a_result_with_cases_that_got_no_answer_these_alone_are_asked_again(house):
    house()
    place = house.sft / "eval" / "toolset-tiny-sft-f16-native"
    result = json.loads((place / "results.json").read_text())
    lines = [json.loads(line) for line in (place / "journal.jsonl").read_text().splitlines()]
    lost = result["records"][0]["id"]
    for row in [*result["records"], *lines]:
        if row.get("id") == lost and "outcome" in row:
            row["outcome"] = "infra"
    result["summary"]["outcomes"]["infra"] = 1
    kept = [row for row in lines if row.get("id") != lost or "outcome" in row]
    (place / "journal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    (place / "results.json").write_text(json.dumps(result))
    house()
    assert house.asked == ["sft-f16"]
    added = [json.loads(line) for line in (place / "journal.jsonl").read_text().splitlines()][len(kept) :]
    assert {row["id"] for row in added if "id" in row} == {lost}
    assert all(row["outcome"] != "infra" for row in json.loads((place / "results.json").read_text())["records"])
    house()
    assert house.asked == []


def test_the_ladder_of_an_sft_run_ends_with_its_own_quants(house):
    found = json.loads(house("--json", run_name=house.sft).stdout)
    assert [rung["label"] for rung in found["rungs"]] == ["base", "SFT"]
    assert {"label": "KTO", "make": "make kto"} in found["missing"]


def test_nothing_there_cannot_run(house):
    for folder in (house.base, house.sft, house.kto):
        for path in (folder / "gguf").iterdir():
            path.unlink()
    done = house()
    assert done.exit_code == 2 and f"make gguf RUN={house.sft}" in done.stderr


def test_results_can_be_given_instead(house):
    house()
    places = [folder / "eval" / f"toolset-tiny-{name}-f16-native" for folder, name in
              ((house.kto, "kto"), (house.sft, "sft"))]  # fmt: skip
    done = house("--json", *places)
    assert [rung["says"] for rung in json.loads(done.stdout)["rungs"]] == ["", "loses 1, gains 0: noise (p = 1)"]
    assert house.asked == []


def test_an_evaluation_that_was_stopped_goes_on_on_request_and_for_the_same_model_file(tmp_path):
    gguf = tmp_path / "gguf" / "m-f16.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"GGUF")
    os.utime(gguf, (1, 1))

    def how(resume):
        line = evaluation("m", gguf, "native", "baseline", resume)
        assert "--no-probe" in line
        return line[-1]

    assert how(True) == "--fresh"
    with Journal(place_of(gguf, "native"), {}, False):
        pass
    assert (how(True), how(False)) == ("--resume", "--fresh")
    later = (place_of(gguf, "native") / "journal.jsonl").stat().st_mtime + 5
    os.utime(gguf, (later, later))  # made again since
    assert how(True) == "--fresh"
    os.utime(gguf, (1, 1))
    with Journal(place_of(gguf, "native"), {}, None) as journal:
        journal.end()
    assert how(True) == "--fresh"
