"""Cases over several turns: real results are fed back in both forms, up to a limit, and the calls used are told."""

import json
from dataclasses import replace

import pytest

from evaluator.llama_server import LlamaCpp
from evaluator.openai_server import OpenAI
from evaluator.reports import summary_rows
from evaluator.runner import attempt
from evaluator.statistics import calls_used, summarize
from tests.loopback import perfect, perfect_text, serving
from tests.servers_support import asking
from tests.state_support import READ, REPLACE, SWAP, SWAPPED, do, plan

REPAIR = do(REPLACE, filePath="Inbox/Plan.md", oldContent="twoo", newContent="three")
MODELS = {"native": (perfect, OpenAI), "text": (perfect_text, LlamaCpp)}


def asked(form, max_steps):
    """A model that fails, looks and mends, one call a turn."""
    stumbling = replace(SWAPPED, gold=plan(REPAIR, do(READ, filePath="Inbox/Plan.md"), SWAP))
    model, backend = MODELS[form]
    with serving(model([stumbling])) as server:
        return attempt(SWAPPED, asking(backend(server.url, "m"), max_steps=max_steps), form), server.requests


@pytest.mark.parametrize("form", MODELS)
def test_an_error_is_fed_back_and_its_repair_passes(form):
    record, requests = asked(form, 6)
    assert record["outcome"] == "pass", record["findings"]
    assert (record["used"], record["minimum"]) == (3, 1) and len(record["steps"]) == 4
    results = [result for step in record["steps"] for result in step["results"]]
    assert [result["success"] for result in results] == [False, True, True]
    assert "Content to replace not found" in json.dumps(requests[-1][1])
    assert "three" in record["changes"]


@pytest.mark.parametrize("form", MODELS)
def test_what_is_not_done_within_max_steps_has_failed(form):
    record, _ = asked(form, 2)
    assert record["outcome"] == "model_fail" and record["used"] == 2
    assert "three" in record["wanted"]


def test_the_summary_tells_calls_used_beside_the_fewest_that_do():
    passed, failed = ({"outcome": outcome, "used": 3, "minimum": 1} for outcome in ("pass", "model_fail"))
    assert calls_used([passed, passed, failed, {"outcome": "pass"}]) == {"used": 6, "minimum": 2}
    assert calls_used([failed]) == {}
    summary = summarize([asked("native", 6)[0]])
    assert ("calls of what passed", "3, at least 1 are needed") in summary_rows(summary)
