"""Several attempts at each case: own seeds, a resume that asks only the open attempts, and what the report says."""

import json
import threading

from evaluator.__main__ import main
from evaluator.cases import load_cases
from evaluator.results import read_result
from lib.toolset import load_toolset
from tests.commands import outcome
from tests.loopback import chat, perfect, serving


def moody():
    """A perfect model, but with an odd seed it only talks."""
    answer = perfect(load_cases(["full_coverage"], load_toolset()))
    return lambda path, body, number: chat("No.") if body and body["seed"] % 2 else answer(path, body, number)


def evaluate(server, out, *more):
    arguments = ["--backend", "openai", "--url", server.url, "--out", out, "--limit", 3, "--temperature", 0.7]
    arguments += ["--no-probe", *more]
    return outcome(main, *arguments)


def test_each_attempt_has_its_own_seed_and_is_recorded(tmp_path):
    with serving(moody()) as server:
        code, out, _ = evaluate(server, tmp_path, "--repeats", 4, "--seed", 10, "--parallel", 2)
    result = read_result(tmp_path)
    records = result["records"]
    assert code == 0 and result["settings"]["repeats"] == 4
    assert [(record["attempt"], record["seed"]) for record in records[:4]] == [(1, 10), (2, 11), (3, 12), (4, 13)]
    assert [record["outcome"] for record in records] == ["pass", "model_fail"] * 6
    assert (result["summary"]["cases"], result["summary"]["attempts"]) == (3, 12)
    # Two of four pass: of the six pairs five hold a pass, and one holds only passes.
    assert abs(result["summary"]["repeats"]["pass@k"]["2"]["value"] - 5 / 6) < 1e-9
    assert "pass^4" in out and "0 % (0 %–56 %) of 3 cases" in out
    report = (tmp_path / "report.md").read_text()
    assert ", attempt 4: model_fail" in report and "Each case was tried several times" in report


def test_resume_asks_the_open_attempts_alone(tmp_path):
    answer, lock, asked = moody(), threading.Lock(), [0]

    def mortal(path, body, number):
        with lock:
            asked[0] += body is not None
            return "close" if asked[0] > 8 else answer(path, body, number)  # the fourth attempt's first question was 7

    with serving(mortal) as server:
        code, _, _ = evaluate(server, tmp_path, "--repeats", 2, "--parallel", 1, "--timeout", 2)
    assert code == 2
    with serving(answer) as server:
        code, _, err = evaluate(server, tmp_path, "--repeats", 2)
        seeds = [body["seed"] for body in server.asked("/v1/chat/completions")]
    assert code == 0 and "5 of 6 attempts are done already" in err and seeds == [1]
    assert [record["outcome"] for record in read_result(tmp_path)["records"]] == ["pass", "model_fail"] * 3


def test_a_journal_from_before_repeats_goes_on(tmp_path):
    with serving(moody()) as server:
        evaluate(server, tmp_path)
        journal = tmp_path / "journal.jsonl"
        head, *rows = [json.loads(line) for line in journal.read_text().splitlines()]
        attempts = [row for row in rows if "outcome" in row]
        del head["settings"]["repeats"]
        for attempt in attempts:
            del attempt["attempt"]
        journal.write_text("".join(json.dumps(row) + "\n" for row in [head, *attempts[:2]]))
        code, _, err = evaluate(server, tmp_path)
    assert code == 0 and "2 of 3 cases are done already" in err
    assert [record["attempt"] for record in read_result(tmp_path)["records"]] == [1, 1, 1]


def test_sure_attempts_are_warned_about(tmp_path):
    with serving(moody()) as server:
        _, _, err = evaluate(server, tmp_path, "--repeats", 2, "--temperature", 0)
    assert "likely to be the same" in err
