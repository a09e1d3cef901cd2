"""The limits of a run, and the early stop: it never says anything else than the whole run would have said."""

import itertools
import json
import random

import pytest
from click.testing import CliRunner

from evaluator.__main__ import main
from evaluator.cases import load_cases
from evaluator.gates import Gates
from evaluator.results import read_result
from evaluator.runner import in_order
from evaluator.statistics import summarize
from lib.toolset import load_toolset
from tests.loopback import chat, perfect, serving
from tests.page_support import LETTERS, record, result


def records_of(word):
    return [record(f"c{number}", LETTERS[letter]) for number, letter in enumerate(word)]


def misses(gates, records):
    """Whether the whole run misses a limit."""
    whole = {"label": "new", "settings": {}, "stopped": "", "summary": summarize(records), "records": records}
    return bool(gates.missed(whole, gates.compared(whole)))


@pytest.mark.parametrize("min_pass, max_infra", itertools.product((None, 0.0, 0.34, 0.5, 1.0), (0.0, 0.2, 1.0)))
def test_an_early_stop_gives_the_verdict_of_every_run_that_could_have_followed(min_pass, max_infra):
    """All runs of five cases, each cut wherever it could be."""
    gates = Gates(min_pass, max_infra, stop_early=True)
    cases = [f"c{number}" for number in range(5)]
    verdicts = {word: misses(gates, records_of(word)) for word in itertools.product("pfli", repeat=5)}
    stopped = 0
    for length in range(1, 5):
        for start in itertools.product("pfli", repeat=length):
            if gates.settled(records_of(start), cases, 1):
                stopped += 1
                followed = {verdict for word, verdict in verdicts.items() if word[:length] == start}
                assert len(followed) == 1 and misses(gates, records_of(start)) == followed.pop(), start
    assert stopped or (min_pass is None and max_infra == 1.0)


@pytest.mark.parametrize("limits", [{"max_regressions": 1}, {"max_drop": 0.2}, {"max_regressions": 0, "max_drop": 0.1}])
def test_against_another_run_it_stops_only_when_that_is_lost(limits):
    rng, stopped = random.Random(5), 0
    for _ in range(150):
        before = result("old", "".join(rng.choices("pfi", [6, 2, 1], k=12)))
        gates = Gates(max_infra=1.0, against=before, stop_early=True, **limits)
        word = rng.choices("pfi", [5, 4, 1], k=12)
        whole = records_of(word)
        for length in range(1, 12):
            if gates.settled(whole[:length], [r["id"] for r in whole], 1):
                stopped += 1
                assert misses(gates, whole[:length]), (word, length)
                for rest in ("p" * 12, "f" * 12, "i" * 12, rng.choices("pfi", k=12)):
                    assert misses(gates, records_of([*word[:length], *rest[length:]])), (word, length)
                break
    assert stopped > 10


def test_several_attempts_at_a_case_are_waited_for():
    before = result("old", "pp pp")
    gates = Gates(against=before, max_regressions=0, stop_early=True)
    first, second = record("c0", "model_fail"), record("c0", "pass", 2)
    assert gates.settled([first], ["c0", "c1"], 2) == ""
    assert "1 cases regress" in gates.settled([first, second], ["c0", "c1"], 2)


def test_without_the_switch_every_case_is_asked():
    assert Gates(min_pass=1.0).settled(records_of("f"), ["c0", "c1"], 1) == ""


# ---------------------------------------------------------------- on the command line


CASES = in_order(load_cases(["full_coverage"], load_toolset(), 12))


def failing(*numbers):
    """A perfect model that only talks in these cases."""
    answer, mute = perfect(CASES), {CASES[number].question for number in numbers}
    return lambda path, body, number: (
        chat("No.") if body and body["messages"][0]["content"] in mute else answer(path, body, number)
    )


def run(answer, out, *more):
    with serving(answer) as server:
        options = ["--backend", "openai", "--url", server.url, "--out", out, "--limit", 12, "--no-probe", *more]
        done = CliRunner().invoke(main, [str(part) for part in options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


def test_a_rate_out_of_reach_ends_the_run_and_the_next_one_finishes_it(tmp_path):
    code, err = run(failing(*range(12)), tmp_path, "--min-pass", 0.75, "--stop-early", "--parallel", 1)
    found = read_result(tmp_path)
    assert code == 1 and "0 of 4 passed, less than --min-pass 0.75" in err
    assert "Stopped early, settled after 4 of 12 attempts" in err
    assert found["settled"] == "settled after 4 of 12 attempts: --min-pass 0.75 can no longer be reached"
    assert found["stopped"] == "" and "Stopped early" in (tmp_path / "report.md").read_text()
    code, err = run(failing(), tmp_path, "--min-pass", 0.5)
    found = read_result(tmp_path)
    assert code == 0 and "4 of 12 cases are done already" in err
    assert found["settled"] == "" and found["summary"]["pass"]["passed"] == 8


def test_a_rate_that_is_sure_ends_the_run_too(tmp_path):
    options = ["--min-pass", 0.5, "--max-infra", 1, "--stop-early", "--parallel", 1]
    assert run(failing(11), tmp_path, *options)[0] == 0
    assert len(read_result(tmp_path)["records"]) == 6


def test_against_an_earlier_run(tmp_path):
    assert run(failing(), tmp_path / "old")[0] == 0
    limits = ["--against", tmp_path / "old", "--max-regressions", 1]
    code, err = run(failing(3), tmp_path / "one", *limits)
    assert code == 0 and "passes 0 more and 1 fewer of 12" in err
    code, err = run(failing(3, 4, 5), tmp_path / "two", *limits)
    assert code == 1 and "3 cases regress, more than --max-regressions 1" in err
    code, err = run(failing(3, 4, 5), tmp_path / "three", *limits, "--stop-early", "--parallel", 1)
    assert code == 1 and "2 cases regress" in err and len(read_result(tmp_path / "three")["records"]) == 5
    code, err = run(failing(3, 4), tmp_path / "four", "--against", tmp_path / "old", "--max-drop", 0.1)
    assert code == 1 and "drops by 0.167, more than --max-drop 0.1" in err


def test_limits_without_an_earlier_run_are_refused(tmp_path):
    code, err = run(failing(), tmp_path, "--max-regressions", 1)
    assert code == 2 and "--against" in err
    code, err = run(failing(), tmp_path, "--against", tmp_path / "nowhere")
    assert code == 2 and "no such result" in err


def test_requests_under_way_when_it_is_settled_are_kept(tmp_path):
    run(failing(*range(12)), tmp_path, "--min-pass", 1, "--stop-early", "--parallel", 4)
    rows = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    judged = [row["id"] for row in rows if "outcome" in row]
    assert sorted(judged) == sorted(found["id"] for found in read_result(tmp_path)["records"]) and len(judged) < 12
