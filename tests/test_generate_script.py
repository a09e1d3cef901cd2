"""scripts.generate: whole runs against a teacher on this machine, good ones, bad ones, and killed ones."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib.jsonl import read_rows
from lib.synth import prompts
from lib.synth.harvest import STAGES, shipped_files
from scripts.generate import main, plan
from scripts.recheck import main as recheck
from tests.loopback import chat, serving
from tests.teacher_support import APPENDS, good_reply, good_teacher, write_material

KEY = "sk-secret-0123456789"
COUNT, SEED = 24, 21  # among the rows of this seed are all kinds, one of them once


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    return write_material(tmp_path_factory.mktemp("teacher") / "scenarios")


@pytest.fixture
def run(tmp_path, scenarios, monkeypatch):
    """run(server or None, *options) -> (exit code, report or None, stderr); every run keeps its answers in tmp_path."""
    monkeypatch.setenv("TEACHER_API_KEY", KEY)

    def run(server, *options, out="out.jsonl"):
        result = CliRunner().invoke(main, options_for(tmp_path, scenarios, server, out) + ["--json", *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert KEY not in result.output
        return result.exit_code, json.loads(result.stdout) if result.stdout else None, result.stderr

    return run


def options_for(folder, scenarios, server, out):
    where = ["--url", server.url] if server else []
    files = ["--scenarios", scenarios, "--cassette", folder / "answers", "--out", folder / out]
    what = ["--tool", APPENDS, "--model", "tutor", "--count", COUNT, "--seed", SEED]
    return [*where, *map(str, [*what, *files])]


def digest(folder, name):
    """Of the rows and proofs of a run."""
    files = [folder / f"{name}.jsonl", folder / f"{name}.proof.jsonl"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def tasks_of(scenarios, count=COUNT):
    return plan(count, SEED, (APPENDS,), scenarios, [])[0]


# ---------------------------------------------------------------------------------- good runs


def test_rows_come_with_proofs_that_recheck_replays(run, tmp_path, scenarios):
    with serving(good_teacher) as server:
        code, report, _ = run(server)
    assert code == 0
    assert list(report["stages"].values()) == [COUNT] * (len(STAGES) + 1)
    assert report["stopped"] is None and report["left"] == 0
    proofs = [proof for _, proof in read_rows(tmp_path / "out.proof.jsonl")]
    assert {proof["teacher"] for proof in proofs} == {"tutor"}
    assert [proof["kind"] for proof in proofs] == [task.kind for task in tasks_of(scenarios)]
    assert {proof["kind"] for proof in proofs} == {"act", "lookup", "repair", "ask", "cannot", "direct"}
    result = CliRunner().invoke(recheck, [str(tmp_path / "out.jsonl"), "--scenarios", str(scenarios)])
    assert result.exit_code == 0, result.output


def test_a_second_run_asks_nothing_and_writes_the_same(run, tmp_path):
    with serving(good_teacher) as server:
        _, first, _ = run(server)
        asked = len(server.requests)
        code, second, _ = run(server, out="again.jsonl")
        assert len(server.requests) == asked
    assert code == 0 and (first["ledger"]["calls"], second["ledger"]["calls"]) == (asked, 0)
    assert second["ledger"]["replayed"] == asked
    assert digest(tmp_path, "out") == digest(tmp_path, "again")
    code, _, _ = run(None, "--offline", out="offline.jsonl")
    assert code == 0 and digest(tmp_path, "offline") == digest(tmp_path, "out")


def test_the_order_of_answers_changes_nothing(run, tmp_path):
    def in_a_hurry_or_not(path, body, number):
        time.sleep(random.Random(body["seed"] + len(body["messages"])).random() / 50)
        return good_teacher(path, body, number)

    with serving(in_a_hurry_or_not) as server:
        run(server, "--parallel", "8", "--cassette", str(tmp_path / "many"), out="many.jsonl")
        run(server, "--parallel", "1", "--cassette", str(tmp_path / "one"), out="one.jsonl")
    assert digest(tmp_path, "many") == digest(tmp_path, "one")


def test_more_rows_keep_the_first_ones(run, tmp_path):
    with serving(good_teacher) as server:
        run(server, "--count", "10", out="few.jsonl")
        asked = len(server.requests)
        _, report, _ = run(server)
        assert report["ledger"]["replayed"] == asked
    assert (tmp_path / "out.jsonl").read_text().startswith((tmp_path / "few.jsonl").read_text())


def test_one_edited_prompt_is_one_miss(run, scenarios, monkeypatch):
    assert [task.kind for task in tasks_of(scenarios)].count("cannot") == 1
    with serving(good_teacher) as server:
        run(server)
        asked = len(server.requests)
        edited = {**prompts.KIND_TASKS, "cannot": prompts.KIND_TASKS["cannot"].replace("plainly", "kindly")}
        monkeypatch.setattr(prompts, "KIND_TASKS", edited)
        code, report, _ = run(None, "--offline")
        assert (code, report["rejects"]["no-answer"]["count"]) == (1, 1)
        code, report, _ = run(server)
        assert len(server.requests) == asked + 1
    assert code == 0 and report["ledger"]["calls"] == 1


# -------------------------------------------------------------------------------- odd teachers


def test_a_teacher_of_many_moods_is_sorted_out(run, tmp_path, scenarios):
    moods = {0: "prose", 1: "fenced", 2: "cut", 3: "repeats", 4: "evaluation", 5: "busy first"}
    seen = Counter()

    def moody(path, body, number):
        mood = moods.get(body["seed"] % 8)
        seen[body["seed"]] += 1
        reply = good_reply(body)
        if "closing" in reply or "request" not in reply:
            return good_teacher(path, body, number)
        if mood == "prose":
            return chat("I would love to help you with that boat!")
        if mood == "fenced":
            return chat(f"Here you go:\n```json\n{json.dumps(reply)}\n```")
        if mood == "cut":
            return chat(json.dumps(reply)[:70], finish="length")
        if mood == "repeats":
            return chat(json.dumps({**reply, "request": "the same again and again, every time"}))
        if mood == "evaluation":
            return chat(json.dumps({**reply, "request": "What have we got lying in the Parts folder?"}))
        if mood == "busy first" and seen[body["seed"]] == 1:
            return 429, {"error": "busy"}, {"Retry-After": "0"}
        return good_teacher(path, body, number)

    with serving(moody) as server:
        code, report, _ = run(server, "--count", "60")
    assert code == 0, "a bad row is the funnel's business"
    expected = Counter(moods.get(task.seed % 8) for task in tasks_of(scenarios, 60))
    rejects = {code: reject["count"] for code, reject in report["rejects"].items()}
    assert rejects["not-json"] == expected["prose"] + expected["cut"]
    assert rejects["contaminated"] == expected["evaluation"]
    assert sum(rejects.values()) + report["stages"]["kept"] == report["stages"]["asked"] == 60
    listed = [reject for _, reject in read_rows(tmp_path / "out.rejects.jsonl")]
    assert Counter(reject["code"] for reject in listed) == rejects
    assert any("cut off" in reject["message"] for reject in listed)
    for code, reject in report["rejects"].items():
        assert reject["examples"][0]["detail"], code


def test_a_teacher_that_repeats_itself_is_kept_once_for_each_kind(run, tmp_path):
    with serving(lambda path, body, number: chat(json.dumps(good_reply({**body, "seed": 1})))) as server:
        code, report, _ = run(server)
    requests = [row["conversations"][0]["content"] for _, row in read_rows(tmp_path / "out.jsonl")]
    assert code == 0 and len(requests) == len(set(requests)) == 6
    assert report["rejects"]["duplicate"]["count"] == COUNT - 6


def test_a_server_without_response_format_teaches_as_well(run, tmp_path):
    def plain(path, body, number):
        if "response_format" in body:
            return 400, {"error": {"message": "response_format is not supported by this model"}}
        return good_teacher(path, body, number)

    with serving(plain) as server:
        code, report, _ = run(server, "--parallel", "1")
        assert len(server.requests) == report["ledger"]["calls"] + 1
    assert code == 0 and report["stages"]["kept"] == COUNT


def test_a_single_lost_question_costs_a_row_and_a_second_run_asks_it_alone(run):
    lost = []

    def forgetful(path, body, number):
        lost.extend([body["seed"]] if not lost else [])
        ill = body["seed"] == lost[0] and len(lost) == 1
        return (400, {"error": "cannot"}) if ill else good_teacher(path, body, number)

    with serving(forgetful) as server:
        code, report, _ = run(server)
        assert code == 1 and report["rejects"]["no-answer"]["count"] == 1
        assert report["stages"]["kept"] == COUNT - 1
        lost.append("well again")
        code, report, _ = run(server)
    assert code == 0 and report["stages"]["kept"] == COUNT
    assert report["ledger"]["calls"] <= 3


# ------------------------------------------------------------------------------- stops and kills


def test_the_budget_stops_the_run_and_what_was_kept_is_written(run, tmp_path):
    prices = ("--price-in", "1", "--price-out", "1", "--max-tokens", "200", "--parallel", "1")
    with serving(good_teacher) as server:
        code, report, _ = run(server, *prices, "--budget", "0.007")
        assert code == 1
        assert "could pass the budget of 0.007" in report["stopped"]
        assert 0 < report["stages"]["kept"] < COUNT and report["left"] > 0
        assert report["ledger"]["spent"] <= 0.007
        assert len(list(read_rows(tmp_path / "out.jsonl"))) == report["stages"]["kept"]
        code, report, _ = run(server, *prices, "--budget", "10")
    assert code == 0 and report["stages"]["kept"] == COUNT


def test_a_budget_for_nothing_asks_nothing(run, tmp_path):
    with serving(good_teacher) as server:
        code, report, _ = run(server, "--price-out", "1", "--budget", "0")
        assert (code, server.requests) == (1, [])
    assert report["stages"]["asked"] == 0 and not (tmp_path / "out.jsonl").exists()


def test_a_dying_server_leaves_what_was_kept(run, tmp_path):
    def dying(path, body, number):
        return good_teacher(path, body, number) if number < 12 else (401, {"error": f"key {KEY} has expired"})

    with serving(dying) as server:
        code, report, _ = run(server)
    assert code == 1 and "refuses the key" in report["stopped"] and KEY not in report["stopped"]
    assert len(list(read_rows(tmp_path / "out.jsonl"))) == report["stages"]["kept"] > 0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_killed_run_ends_like_one_left_alone(number, run, tmp_path, scenarios):
    """kill -9 of a real process at a random answer; what the next run writes has the digest of an undisturbed run."""
    with serving(good_teacher) as server:
        run(server, "--cassette", str(tmp_path / "alone"), out="alone.jsonl")
        last = random.Random(number).randrange(3, len(server.requests) - 3)
    process = []

    def deadly(path, body, count):
        if count == last and process:
            os.kill(process[0].pid, signal.SIGKILL)
        return good_teacher(path, body, count)

    with serving(deadly) as server:
        command = [sys.executable, "-m", "scripts.generate", *options_for(tmp_path, scenarios, server, "out.jsonl")]
        process.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        assert process[0].wait(60) == -signal.SIGKILL
        process.clear()
        assert not (tmp_path / "out.jsonl").exists()
        code, report, _ = run(server)
    assert code == 0
    assert report["ledger"]["replayed"] >= last - 4, "four threads had a question under way"
    assert digest(tmp_path, "out") == digest(tmp_path, "alone")


# ------------------------------------------------------------------------------ what cannot run


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}), "TEACHER_API_KEY"),
        ((404, {"error": "no model tutor"}), "does not know the model"),
        ("redirect", "not the final address"),
    ],
)
def test_a_useless_teacher_is_one_sentence(run, tmp_path, answer, said):
    with serving(lambda path, body, number: answer) as server:
        code, report, stderr = run(server)
    assert (code, report) == (2, None)
    assert said in stderr and "Traceback" not in stderr and KEY not in stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_nobody_there_is_one_sentence(run):
    with serving(good_teacher) as server:
        pass
    code, _, stderr = run(server)
    assert code == 2 and f"no server listens at {server.url}" in stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Where is the teacher?"),
        (("--url", "http://h", "--budget", "1"), "--budget needs --price-in"),
        (("--url", "http://h", "--tool", "contentManager_appendContnt"), "contentManager_appendContent"),
        (("--url", f"http://me:{KEY}@h"), "holds a password"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_asked(run, options, said):
    code, report, stderr = run(None, *options)
    assert (code, report) == (2, None) and said in stderr


def test_no_file_holds_the_key(run, tmp_path):
    with serving(lambda path, body, number: chat(f"{json.dumps(good_reply(body))} by the way: {KEY}")) as server:
        code, _, _ = run(server)
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert code == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > COUNT
    assert [path for path in files if KEY in path.read_text(encoding="utf-8")] == []


def test_the_table_names_stages_codes_and_what_it_cost(tmp_path, scenarios):
    def shy(path, body, number):
        return chat("No.") if number == 0 else good_teacher(path, body, number)

    with serving(shy) as server:
        options = [*options_for(tmp_path, scenarios, server, "out.jsonl"), "--price-out", "2", "--parallel", "1"]
        result = CliRunner().invoke(main, options)
    for text in ("asked", "goal held", "not-json 1 (row 0", f"{COUNT - 1} rows in", "out.proof.jsonl"):
        assert text in result.stdout
    assert "cost 0.0" in result.stderr and "cost" not in result.stdout


def test_a_file_is_not_measured_against_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("datasets").mkdir()
    for name in ("a.jsonl", "a.proof.jsonl", "taught.jsonl", "taught.rejects.jsonl"):
        Path("datasets", name).write_text("{}\n")
    assert [path.name for path in shipped_files("datasets/taught.jsonl")] == ["a.jsonl"]
