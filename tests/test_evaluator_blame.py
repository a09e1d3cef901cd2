"""A run whose server loses, refuses or cuts what it should answer: no rate, an exit code, and the way out."""

import json

from evaluator.results import read_result
from tests.loopback import perfect, serving
from tests.test_evaluator_runs import at, cases_of


def test_too_many_unanswered_cases_exit_1_and_say_why(tmp_path):
    answer = perfect(cases_of("full_coverage"))
    with serving(lambda path, body, n: (400, b"no") if body and n % 2 else answer(path, body, n)) as server:
        code, _, err = at(server, tmp_path, "--limit", 4, "--parallel", 1)
    assert code == 1 and "more than --max-infra 0.1" in err and "http-400: no" in err


def test_calls_that_the_server_leaves_in_the_text_count_as_lost(tmp_path):
    answer = perfect(cases_of("full_coverage"))

    def unparsed(path, body, number):
        body = answer(path, body, number)
        for call in body["choices"][0]["message"].pop("tool_calls", []) if "choices" in body else []:
            text = f'<tool_call>{{"name": "{call["function"]["name"]}", "arguments": {call["function"]["arguments"]}}}'
            body["choices"][0]["message"]["content"] = text
        return body

    with serving(unparsed) as server:
        code, out, err = at(server, tmp_path, "--limit", 4)
        assert at(server, tmp_path, "--limit", 4, "--max-infra", 1)[0] == 0
    assert code == 1 and "the server lost 4" in err and "Model 4/4, delivered 0/4" in out
    assert read_result(tmp_path)["summary"]["pass"]["of"] == 0


def test_a_server_that_cuts_prompts_gets_no_rate_but_the_fix(tmp_path):
    answer = perfect(cases_of("full_coverage"))

    def cutting(path, body, number):
        reply = answer(path, body, number)
        return reply if body is None else reply | {"usage": {"prompt_tokens": 2048, "completion_tokens": 20}}

    with serving(cutting) as server:
        code, out, err = at(server, tmp_path, "--limit", 4, "--json")
    summary = json.loads(out)["summary"]
    assert (code, summary["outcomes"]["infra"], summary["pass"]["rate"]) == (1, 4, None)
    assert "truncated: the server read 2048 tokens" in err and "give the server a context of" in err


def test_a_server_that_lists_no_models_must_be_told_which(tmp_path):
    answer = perfect(cases_of("full_coverage"))
    with serving(lambda path, body, n: answer(path, body, n) if body else (404, b"<html>")) as server:
        code, _, err = at(server, tmp_path, "--limit", 2)
        assert code == 2 and "openai" in err
        code, _, err = at(server, tmp_path, "--limit", 2, "--model", "m")
    assert code == 0, err
