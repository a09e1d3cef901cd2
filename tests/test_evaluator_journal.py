"""The journal: a line for each answer, kill -9 in the middle of it all, and what makes it refuse to go on."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from evaluator.__main__ import main
from evaluator.cases import load_cases
from evaluator.journal import Calls, Journal, read_journal
from evaluator.rescore import main as rescore
from evaluator.results import read_result
from lib.errors import CannotRun
from lib.toolset import load_toolset
from lib.transport import Fault, Http
from tests.commands import outcome
from tests.loopback import chat, perfect, serving

CHAT = "/v1/chat/completions"
TIMES = ("seconds", "finished", "speed", "settings")
SLOW = 0.03  # seconds an answer takes, so that some are under way at any moment


pytestmark = pytest.mark.usefixtures("retries_at_once")


def command(server, out, *more):
    options = ["--backend", "openai", "--url", server.url, "--out", str(out), "--prompts", "tool_combos", "--no-probe"]
    return [sys.executable, "-m", "evaluator", *options, "--parallel", "4", *more]


def run(server, out, *more):
    """(exit code, stderr) of an evaluation in this process."""
    code, _, said = outcome(main, *command(server, out, *more)[3:])
    return code, said


def lines_of(folder):
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def without_times(result):
    """The result as one text, but for what no two runs share."""
    result = json.loads(json.dumps({name: value for name, value in result.items() if name not in TIMES}))
    for name in ("seconds_p50", "seconds_p95"):
        del result["summary"][name]
    for record in result["records"]:
        del record["seconds"]
        for step in record["steps"]:
            del step["seconds"]
    return json.dumps(result, sort_keys=True)


def steady(cases):
    """A perfect model whose answers take a while; its calls have no ids that count requests."""
    answer = perfect(cases)

    def reply(path, body, number):
        if body is not None:
            time.sleep(SLOW)
        return answer(path, body, number)

    return reply


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
def test_killed_again_and_again_it_asks_again_only_what_was_in_flight(tmp_path):
    cases = load_cases(["tool_combos"], load_toolset(), 12)
    kills, rng = 0, random.Random(3)
    with serving(steady(cases)) as server:
        assert run(server, tmp_path / "whole", "--limit", "12")[0] == 0
        whole = len(server.asked(CHAT))
        server.requests.clear()
        while True:
            line = command(server, tmp_path / "killed", "--limit", "12")
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            until = len(server.asked(CHAT)) + rng.randint(3, 12)
            while process.poll() is None and len(server.asked(CHAT)) < until:
                time.sleep(0.002)
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
        err = process.communicate()[1]
        assert process.returncode == 0, err
        asked = Counter(json.dumps(body, sort_keys=True) for body in server.asked(CHAT))
    assert kills >= 3 and len(asked) == whole
    assert asked.total() - whole <= 4 * kills
    assert without_times(read_result(tmp_path / "killed")) == without_times(read_result(tmp_path / "whole"))
    assert CliRunner().invoke(rescore, [str(tmp_path / "killed")]).stdout.startswith(f"{tmp_path / 'killed'}: 0 of 12 ")


def test_every_answer_has_its_line_before_the_attempt_is_judged(tmp_path):
    cases = load_cases(["tool_combos"], load_toolset(), 3)
    with serving(perfect(cases)) as server:
        assert run(server, tmp_path, "--limit", "3")[0] == 0
        sent = [body for path, body in server.requests if path == CHAT]
    head, *lines = lines_of(tmp_path)
    calls = [line for line in lines if "request" in line]
    assert "settings" in head and "server" in lines[0] and list(lines[-1]) == ["end"]
    assert len(calls) == len(sent) and all(line["status"] == 200 and line["seconds"] >= 0 for line in calls)
    assert {len(line["request"]) for line in calls} == {64} and len({line["request"] for line in calls}) == len(calls)
    assert json.loads(calls[0]["reply"])["choices"]
    for attempt in (line for line in lines if "outcome" in line):
        mine = [number for number, line in enumerate(lines) if line.get("id") == attempt["id"]]
        assert lines[mine[-1]] == attempt and len(mine) == len(attempt["steps"]) + 1


def test_each_retry_and_each_silence_has_a_line(tmp_path):
    """503, then a connection that breaks, then an answer: three lines for one step."""

    def answer(path, body, number):
        if body is None:
            return {"data": [{"id": "m"}]}
        return [(503, {"error": "busy"}), "close", chat("No.")][min(number, 2)]

    with serving(answer) as server:
        run(server, tmp_path, "--limit", "1")
    calls = [line for line in lines_of(tmp_path) if "request" in line]
    assert [line.get("status") for line in calls] == [503, None, 200]
    assert calls[1]["fault"].startswith("connection: ") and len({line["request"] for line in calls}) == 1


def test_a_case_goes_on_in_its_middle(tmp_path):
    (case,) = load_cases(["tool_combos"], load_toolset(), 1)
    with serving(perfect([case])) as server:
        run(server, tmp_path, "--limit", "1")
        whole = server.asked(CHAT)
        path = tmp_path / "journal.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))  # settings, server, one answer
        server.requests.clear()
        code, _ = run(server, tmp_path, "--limit", "1")
        assert code == 0 and server.asked(CHAT) == whole[1:] != []
    assert read_result(tmp_path)["summary"]["pass"]["passed"] == 1


def test_what_was_judged_before_is_judged_by_todays_checker(tmp_path):
    cases = load_cases(["tool_combos"], load_toolset(), 2)
    with serving(perfect(cases)) as server:
        run(server, tmp_path, "--limit", "2")
        *lines, _ = lines_of(tmp_path)
        for line in lines:
            if "outcome" in line:
                line |= {"outcome": "model_fail", "findings": [{"code": "old-rule", "message": "broke it"}]}
        (tmp_path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        server.requests.clear()
        code, err = run(server, tmp_path, "--limit", "2")
        assert server.asked(CHAT) == []
    assert code == 0 and "2 of 2 cases are done already; today's checker judges 2 of them otherwise." in err
    assert read_result(tmp_path)["summary"]["pass"]["passed"] == 2


def test_an_attempt_without_an_answer_is_asked_again_from_its_start(tmp_path):
    """Its earlier replies may be what was wrong: a prompt that was cut, on a server that has been set right since."""
    with Journal(tmp_path, {}, False) as journal:
        journal.add({"id": "a", "attempt": 1, "path": "/", "request": "r", "status": 200, "seconds": 1, "reply": "{}"})
        journal.add({"id": "b", "attempt": 1, "path": "/", "request": "r", "status": 200, "seconds": 1, "reply": "{}"})
        journal.add({"id": "a", "attempt": 1, "outcome": "infra"})
    told = read_journal(tmp_path / "journal.jsonl")
    assert list(told.replies) == [("b", 1, "r")] and told.attempts["a", 1]["outcome"] == "infra" and not told.ended
    with Journal(tmp_path, {}, None) as journal:
        assert journal.done == {}


def test_equal_requests_of_one_attempt_get_their_answers_in_turn(tmp_path):
    with Journal(tmp_path, {}, False) as journal, Calls(journal).of("a", 1):
        pass
    replies = iter([(200, b"one", None), (503, b"busy", "7"), (200, b"two", None)])

    def tape(go_on):
        with Journal(tmp_path, {}, go_on) as journal:
            calls = Calls(journal)
            with calls.of("a", 1):
                for _ in range(3):
                    with contextlib.suppress(StopIteration):
                        yield calls("/p", b"{}", b"{}", lambda: next(replies))

    assert list(tape(False)) == [(200, b"one", None), (503, b"busy", "7"), (200, b"two", None)]
    assert list(tape(None)) == [(200, b"one", None), (200, b"two", None)]  # what was to be retried is no answer


def test_a_key_in_a_complaint_does_not_reach_the_file(tmp_path):
    complaint = (401, {"error": "the key s3cret-key is not known"})
    with serving(lambda path, body, number: complaint) as server, Journal(tmp_path, {}, False) as journal:
        http = Http(server.url, headers={"Authorization": "Bearer s3cret-key"})
        http.tape = Calls(journal, "s3cret-key")
        with http.tape.of("a", 1), pytest.raises(Fault):
            http.post(CHAT, {})
    text = (tmp_path / "journal.jsonl").read_text()
    assert "s3cret" not in text and "the key *** is not known" in text


@pytest.mark.parametrize("fact", ["model", "digest", "build", "template_sha256", "quantization"])
def test_another_model_or_server_at_the_address_is_refused(tmp_path, fact):
    with Journal(tmp_path, {}, False) as journal:
        journal.met({"model": "m", "build": "b1", "slots": 2})
    with Journal(tmp_path, {}, None) as journal:
        journal.met({"model": "m", "build": "b1", "slots": 4})
        with pytest.raises(CannotRun, match=f"{fact} was .*, is 'other'.*--fresh"):
            journal.met({"model": "m", "build": "b1", fact: "other"})


@pytest.mark.parametrize("torn", [b'{"id": "b", "outc', b"\xff\xfe\x00", b"{" * 200_000, b'{"id": "b"}\n[1]\nnull\n{'])
def test_a_torn_end_is_cut_off_and_the_rest_stands(tmp_path, torn):
    with Journal(tmp_path, {"x": 1}, False) as journal:
        journal.add({"id": "a", "attempt": 1, "outcome": "pass"})
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    with Journal(tmp_path, {"x": 1}, None) as journal:
        assert list(journal.done) == [("a", 1)]
        journal.add({"id": "c", "attempt": 1, "outcome": "pass"})
    assert list(read_journal(path).attempts) == [("a", 1), ("c", 1)]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"no json\n", b'{"other": 1}\n{"id": "a", "outcome": "pass"}\n', b"[]\n"]
)
def test_a_file_without_settings_starts_again(tmp_path, content):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with Journal(tmp_path, {"x": 1}, True) as journal:
        assert journal.done == {}
    assert json.loads(path.read_text()) == {"settings": {"x": 1}}


def test_threads_write_whole_lines(tmp_path):
    with Journal(tmp_path, {}, False) as journal:
        rows = [{"id": str(n), "attempt": 1, "outcome": "pass", "reply": "x" * 50_000} for n in range(40)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(journal.add, rows))
    assert len(read_journal(tmp_path / "journal.jsonl").attempts) == 40
