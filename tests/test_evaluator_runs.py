"""Whole evaluations over the command line: exit codes, files, resume, a dying server, Ctrl-C, bad input."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from evaluator.__main__ import main
from evaluator.bfcl import question_from_row
from evaluator.cases import load_cases
from evaluator.journal import Journal
from evaluator.results import read_result
from evaluator.runner import in_order
from lib.toolset import load_toolset
from tests.commands import outcome
from tests.loopback import chat, perfect, perfect_text, serving

pytestmark = pytest.mark.usefixtures("retries_at_once")
CHAT = "/v1/chat/completions"
SETS = ["full_coverage", "baseline", "tool_combos", "behaviour"]


def cases_of(*names, limit=None):
    return load_cases(list(names or SETS), load_toolset(), limit)


def evaluate(*arguments):
    """(exit code, stdout, stderr) of `python -m evaluator ...`."""
    return outcome(main, *arguments)


def at(server, out, *more, backend="openai"):
    return evaluate("--backend", backend, "--url", server.url, "--out", out, "--no-probe", *more)


def attempts_in(folder):
    """The judged attempts in a journal."""
    return [row for row in map(json.loads, (folder / "journal.jsonl").read_text().splitlines()) if "outcome" in row]


def test_perfect_model_passes_every_case_in_the_native_form(tmp_path):
    with serving(perfect(cases_of())) as server:
        code, out, err = at(server, tmp_path, "--prompts", ",".join(SETS), "--parallel", 2)
    assert code == 0, err
    result = read_result(tmp_path)
    failed = [(record["id"], record["findings"]) for record in result["records"] if record["outcome"] != "pass"]
    assert failed == []
    assert [record["id"] for record in result["records"]] == [case.id for case in cases_of()]
    assert f"{len(cases_of())}/{len(cases_of())} (100 %" in out
    assert f'tests="{len(cases_of())}" failures="0" errors="0"' in (tmp_path / "junit.xml").read_text()
    text = (tmp_path / "report.html").read_text()
    assert [case.id for case in cases_of() if f'"id":"{case.id}"' not in text] == []
    assert any("note created" in record["changes"] for record in result["records"])


def test_perfect_model_passes_every_case_in_the_text_form(tmp_path):
    with serving(perfect_text(cases_of())) as server:
        code, _, err = at(server, tmp_path, "--prompts", ",".join(SETS), "--format", "text", backend="llamacpp")
    assert code == 0, err
    result = read_result(tmp_path)
    assert [record["id"] for record in result["records"] if record["outcome"] != "pass"] == []
    assert result["settings"]["parallel"] == 2  # the server's slots
    assert result["label"] == "tiny.gguf"


def test_model_that_only_talks_passes_nothing_that_needs_a_tool(tmp_path):
    with serving(lambda path, body, number: {"data": [{"id": "m"}]} if body is None else chat("Sure, done!")) as server:
        code, _, _ = at(server, tmp_path, "--prompts", ",".join(SETS))
    passed = [record for record in read_result(tmp_path)["records"] if record["outcome"] == "pass"]
    assert code == 0 and all(not record["tools"] for record in passed)


def test_result_holds_what_is_needed_to_judge_again(tmp_path):
    with serving(perfect(cases_of("full_coverage"))) as server:
        at(server, tmp_path, "--limit", 2, "--label", "mine")
    result = read_result(tmp_path)
    assert result["label"] == "mine" and result["stopped"] == "" and len(result["records"]) == 2
    assert {"prompts_sha256", "tools_sha256", "temperature", "top_p", "seed", "max_tokens"} <= result["settings"].keys()
    record = result["records"][0]
    assert record["steps"][0]["sent"] == [{"role": "user", "content": record["question"]}]
    assert record["steps"][0]["reply"]["message"]["tool_calls"] and record["steps"][1]["results"] == []
    report = (tmp_path / "report.md").read_text()
    assert "# Evaluation of mine" in report and "2/2 (100 %" in report


def test_json_on_stdout_is_one_object(tmp_path):
    with serving(perfect(cases_of("full_coverage"))) as server:
        _, out, _ = at(server, tmp_path, "--limit", 3, "--json")
    assert json.loads(out)["summary"]["outcomes"] == {"pass": 3, "model_fail": 0, "server_lost": 0, "infra": 0}


def test_rate_below_min_pass_exits_1(tmp_path):
    with serving(lambda path, body, number: {"data": [{"id": "m"}]} if body is None else chat("no")) as server:
        code, _, err = at(server, tmp_path, "--limit", 2, "--min-pass", 0.5)
    assert code == 1 and "0 of 2 passed" in err


def mortal(answer, after):
    """The answers of a server that breaks every connection after so many questions."""
    lock, asked = threading.Lock(), [0]

    def reply(path, body, number):
        with lock:
            asked[0] += body is not None
            return "close" if asked[0] > after else answer(path, body, number)

    return reply


def test_server_that_dies_leaves_what_was_done_and_exits_2(tmp_path):
    with serving(mortal(perfect(cases_of("full_coverage")), after=10)) as server:
        code, _, err = at(server, tmp_path, "--parallel", 1)
    result = read_result(tmp_path)
    assert code == 2 and "the server stopped answering" in err and "The same command goes on" in err
    assert result["summary"]["outcomes"] == {"pass": 5, "model_fail": 0, "server_lost": 0, "infra": 42}
    assert len(server.requests) < 30  # the rest was not even asked
    assert "Not complete" in (tmp_path / "report.md").read_text()


def bare(records):
    """Records without what differs from run to run."""
    kept = json.loads(json.dumps(records))
    for record in kept:
        del record["seconds"]
        for step in record["steps"]:
            del step["seconds"]
    return kept


def test_resumed_run_asks_only_the_rest_and_gives_the_unbroken_result(tmp_path):
    answer = perfect(cases_of("full_coverage"))
    with serving(answer) as server:
        at(server, tmp_path / "whole")
    with serving(mortal(answer, after=21)) as server:
        at(server, tmp_path / "broken", "--parallel", 1)
    with serving(answer) as server:
        code, _, err = at(server, tmp_path / "broken")
        asked = {body["messages"][0]["content"] for body in server.asked("/v1/chat/completions")}
    assert code == 0 and "10 of 47 cases are done already" in err and len(asked) == 37
    assert bare(read_result(tmp_path / "broken")["records"]) == bare(read_result(tmp_path / "whole")["records"])


def test_line_torn_by_a_crash_is_asked_again(tmp_path):
    with serving(perfect(cases_of("full_coverage"))) as server:
        at(server, tmp_path, "--limit", 3)
        journal = tmp_path / "journal.jsonl"
        *lines, attempt, _ = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join([*lines[:-1], lines[-1][:-40]]))
        before = len(server.requests)
        code, _, err = at(server, tmp_path, "--limit", 3)
        questions = [body for _, body in server.requests[before:] if body]
    # The last attempt is gone and the last of its two answers torn: one is asked again.
    assert code == 0 and b'"outcome"' in attempt and "2 of 3" in err and len(questions) == 1
    assert len(attempts_in(tmp_path)) == 3 and len(journal.read_bytes().splitlines()) == len(lines) + 2


def test_other_settings_are_refused_by_name_while_an_evaluation_is_open(tmp_path):
    answer = perfect(cases_of("full_coverage"))
    with serving(mortal(answer, after=3)) as server:
        at(server, tmp_path, "--limit", 2, "--parallel", 1)
    with serving(answer) as server:
        code, _, err = at(server, tmp_path, "--limit", 2, "--temperature", 0.5)
        assert code == 2 and "temperature was 0.0, is 0.5" in err and "--fresh" in err and server.asked(CHAT) == []
        assert at(server, tmp_path, "--limit", 2, "--temperature", 0.5, "--fresh")[0] == 0
        assert read_result(tmp_path)["settings"]["temperature"] == 0.5


def test_a_finished_evaluation_starts_again_unless_told_to_go_on(tmp_path):
    with serving(perfect(cases_of("full_coverage"))) as server:
        for more, asked in (([], 4), ([], 8), (["--resume"], 8), (["--fresh"], 12)):
            at(server, tmp_path, "--limit", 2, *more)
            assert len(server.asked("/v1/chat/completions")) == asked, more
            assert len(attempts_in(tmp_path)) == 2


def test_second_run_into_the_same_folder_is_refused(tmp_path):
    with Journal(tmp_path, {}, False), serving(perfect(cases_of("full_coverage"))) as server:
        code, _, err = at(server, tmp_path, "--limit", 2)
    assert code == 2 and "another evaluation is writing there" in err


@pytest.mark.parametrize("parallel", [1, 4])
def test_verdicts_and_their_order_do_not_depend_on_concurrency(tmp_path, parallel):
    answer = perfect(cases_of("tool_combos"))
    with serving(answer) as server:
        at(server, tmp_path, "--prompts", "tool_combos", "--parallel", parallel)
    records = read_result(tmp_path)["records"]
    assert [(record["id"], record["outcome"]) for record in records] == [
        (case.id, "pass") for case in cases_of("tool_combos")
    ]


def test_cases_of_the_same_tools_are_asked_together_and_the_longest_first():
    def question(name, tool, calls):
        asked, truth = [[{"role": "user", "content": "q"}]], [{tool: {}}] * calls
        row = {"id": name, "question": asked, "function": [{"name": tool, "parameters": {}}], "ground_truth": truth}
        return question_from_row(row, Path("q.json"), ({}, Path("a.json")))

    questions = [question(*each) for each in (("a", "x", 1), ("b", "y", 1), ("c", "x", 1), ("d", "y", 2))]
    ours = cases_of("full_coverage", "tool_combos")
    ordered = in_order([questions[0], *ours, *questions[1:]])
    assert [case.id for case in ordered[:2]] == ["a", "c"] and [case.id for case in ordered[-2:]] == ["d", "b"]
    lengths = [len(case.tools) for case in ordered[2:-2]]
    assert lengths == sorted(lengths, reverse=True) and {case.id for case in ordered[2:-2]} == {c.id for c in ours}


def test_bug_in_the_harness_is_not_swallowed_by_a_worker(tmp_path, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("evaluator.runner.judge", broken)
    with serving(perfect(cases_of("full_coverage"))) as server, pytest.raises(ZeroDivisionError, match="planted"):
        at(server, tmp_path, "--limit", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent differently there")
def test_ctrl_c_keeps_what_is_judged_and_exits_130(tmp_path):
    answer, hanging = perfect(cases_of("full_coverage")), threading.Event()

    def slow(path, body, number):
        if body and number >= 6:
            hanging.set()
            return "hang"
        return answer(path, body, number)

    with serving(slow) as server:
        command = [sys.executable, "-m", "evaluator", "--backend", "openai", "--url", server.url]
        command += ["--out", str(tmp_path), "--parallel", "1", "--limit", "9", "--no-probe"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert hanging.wait(60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err and "Traceback" not in err
    result = read_result(tmp_path)
    assert result["stopped"] == "interrupted" and len(result["records"]) == len(attempts_in(tmp_path)) == 3


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--backend", "ollama", "--url", "http://127.0.0.1:9"], "ollama serve"),
        (["--backend", "lmstudio", "--url", "http://127.0.0.1:9"], "lms server start"),
        (["--backend", "llamacpp", "--url", "http://127.0.0.1:9"], "--gguf"),
        (["--backend", "vllm", "--url", "http://127.0.0.1:9"], "--enable-auto-tool-choice"),
        (["--backend", "nonsense"], "llamacpp"),
        (["--gguf", "no/such.gguf"], "no such model file"),
        (["--model", "no/such.gguf"], "no such model file"),
        (["--backend", "ollama", "--gguf", "no/such.gguf"], "leave --backend"),
        (["--backend", "ollama", "--prompts", "no_such_set"], "baseline, behaviour, full_coverage, tool_combos"),
        (["--max-tokens", "0"], "max-tokens"),
        (["--backend", "openai", "--url", "ftp://x"], "http"),
    ],
)
def test_what_cannot_run_exits_2_with_a_hint(arguments, words, tmp_path):
    code, _, err = evaluate(*arguments, "--out", tmp_path)
    assert code == 2 and words in err


def test_model_the_server_does_not_have_is_refused_with_those_it_has(tmp_path):
    with serving(lambda path, body, number: {"models": [{"name": "qwen3:4b"}]}) as server:
        code, _, err = at(server, tmp_path, "--model", "llama9", backend="ollama")
    assert code == 2 and "qwen3:4b" in err


def test_server_without_a_model_is_refused(tmp_path):
    with serving(lambda path, body, number: {"data": []}) as server:
        code, _, err = at(server, tmp_path, backend="lmstudio")
    assert code == 2 and "offers no model" in err


@pytest.mark.parametrize(
    "row, words",
    [
        ({"id": "a"}, "question"),
        ({"id": "a", "question": "q", "expected": []}, "unknown keys: expected"),
        ({"id": "a", "question": "q", "tools": ["noSuchTool"]}, "unknown tools: noSuchTool"),
        ({"id": "a", "question": "q", "vault": "nowhere"}, "no fixture nowhere"),
        ({"id": "a", "question": "q", "goal": {"exist": []}}, "unknown goal exist"),
        ({"id": "a", "question": "q", "tools": [], "arguments": [{}]}, "rules for 1 calls"),
        (
            {"id": "a", "question": "q", "tools": ["get_tools"], "arguments": [{"tools": {"like": 1}}]},
            "none of the modes",
        ),
        ({"id": "a", "question": "q", "tools": ["get_tools"], "gold": [{"name": "x", "arguments": {}}]}, "gold plan"),
    ],
)
def test_fault_in_a_prompt_file_is_named_with_its_line(row, words, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "first", "question": "q"}) + "\n" + json.dumps(row) + "\n")
    code, _, err = evaluate("--backend", "openai", "--url", "http://127.0.0.1:9", "--prompts", path, "--out", tmp_path)
    assert code == 2 and f"{path}:2: " in err and words in err


def test_an_id_used_twice_is_refused(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"id": "same", "question": "q"}) + "\n" + json.dumps({"id": "same", "question": "r"}))
    code, _, err = evaluate("--backend", "openai", "--url", "http://127.0.0.1:9", "--prompts", path, "--out", tmp_path)
    assert code == 2 and "twice: same" in err


def test_help_needs_nothing_but_click():
    code = "import sys; sys.modules.update(dict.fromkeys(['requests', 'scipy', 'rich', 'orjson', 'jsonschema_rs']))\n"
    code += "sys.argv = ['evaluator', '--help']\nimport runpy; runpy.run_module('evaluator', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0 and "--prompts" in done.stdout, done.stderr
