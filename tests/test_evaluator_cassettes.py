"""Each server's quirks as cassettes: what it answers, what becomes of the attempt, and how often it is asked.

tests/fixtures/cassettes.jsonl, one a line: `answers` to the chat path (the last one stands for all later ones), `paths`
for other paths, `tools`: whether each request for a chat carried tools, which is the decision to ask again.
"""

import json
from pathlib import Path

import pytest

from evaluator.backends import BACKENDS
from evaluator.conversation import ask_native
from evaluator.runner import attempt
from tests.loopback import chat, ollama, serving
from tests.servers_support import CASE, READ, asking

LINES = Path("tests/fixtures/cassettes.jsonl").read_text(encoding="utf-8").splitlines()
CASSETTES = {cassette["id"]: cassette for cassette in map(json.loads, LINES)}
TEXTS = {
    "@call@": json.dumps({"name": READ[0], "arguments": READ[1]}),
    "@args@": json.dumps(READ[1]),
    "@name@": READ[0],
    "@digits@": "9" * 400,
    "@deep@": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "@nested@": '{"a":' * 500 + "1" + "}" * 500,
    "@10MB@": "x" * 10_000_000,
}
SLOW = ("hang", "drip", "drip head")


def filled(value):
    """A part of a cassette with its marks replaced."""
    if isinstance(value, dict):
        return {name: filled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if value == "@object@":
        return READ[1]
    if isinstance(value, str) and "@" in value:
        for mark, text in TEXTS.items():
            value = value.replace(mark, text)
    return value


def as_answer(given, backend):
    """What the loopback server is to do."""
    say, call = (ollama, ollama) if backend == "ollama" else (chat, lambda text, calls: chat(None, calls))
    if given == "@done@":
        return say("It says Hello.")
    if given == "@delivered@":
        return call("", [READ])
    if "act" in given:
        return given["act"]
    body = filled(given["body"]) if "body" in given else filled(given["text"]).encode(given.get("encoding", "utf-8"))
    return given.get("status", 200), body, given.get("headers", {})


def played(cassette):
    """The server's behaviour: its answers in turn, 404 for every path that the cassette does not name."""
    path_of_chat = "/api/chat" if cassette["backend"] == "ollama" else "/v1/chat/completions"
    answers = cassette["answers"]

    def answer(path, body, number):
        if path == path_of_chat:
            return as_answer(answers[min(number, len(answers) - 1)], cassette["backend"])
        return as_answer(cassette.get("paths", {}).get(path, {"status": 404, "text": "not found"}), cassette["backend"])

    return answer, path_of_chat


@pytest.mark.parametrize("name", CASSETTES)
def test_quirk_has_its_outcome_and_is_asked_again_only_if_that_can_help(name):
    cassette = CASSETTES[name]
    answer, path = played(cassette)
    slow = any(given.get("act") in SLOW for given in cassette["answers"] if isinstance(given, dict))
    with serving(answer) as server:
        backend = BACKENDS[cassette["backend"]](server.url, "m", timeout=0.3 if slow else 20)
        backend.window = cassette.get("window", 0)
        record = attempt(CASE, asking(backend), "native")
        asked = ["tools" in body for body in server.asked(path)]
    codes = {finding["code"] for finding in record["findings"]}
    assert (record["outcome"], asked) == (cassette["outcome"], cassette["tools"]), record["findings"]
    assert cassette.get("code") in (codes or {None}) or "code" not in cassette, codes
    json.dumps(record, ensure_ascii=False).encode()  # as the journal writes it


def test_every_kind_of_server_has_its_quirks():
    counts = {kind: sum(cassette["backend"] == kind for cassette in CASSETTES.values()) for kind in BACKENDS}
    assert len(CASSETTES) == len(LINES) >= 90 and min(counts.values()) >= 6, counts


def test_no_refusal_and_no_500_is_ever_asked_twice():
    """The rule behind the table, so that no new line bends it: again only after 429, 502 to 504, or an empty 200."""
    for cassette in CASSETTES.values():
        for given, following in zip(cassette["answers"], [*cassette["answers"][1:], None], strict=True):
            if isinstance(given, dict) and 400 <= given.get("status", 200) <= 501 and given["status"] != 429:
                stays = following is None and len(cassette["tools"]) > len(cassette["answers"])
                assert not stays, cassette["id"]


def test_a_truncated_answer_is_told_with_the_way_out():
    answer, _ = played(CASSETTES["ollama: the prompt fills the loaded context"])
    with serving(answer) as server:
        record = attempt(CASE, asking(BACKENDS["ollama"](server.url, "m")), "native")
    (finding,) = record["findings"]
    assert finding["code"] == "truncated" and "4096" in finding["message"] and "--context" in finding["message"]


def test_the_raw_prompt_is_asked_for_with_the_tools_in_it():
    answer, _ = played(CASSETTES["llamacpp: 500 that hides the generation, raw prompts"])
    with serving(answer) as server:
        talk = ask_native(CASE, asking(BACKENDS["llamacpp"](server.url, "m")))
        (template,), (completion,) = server.asked("/apply-template"), server.asked("/completion")
    assert template["tools"] and completion["prompt"] == "<user>What is in a.md?<assistant>"
    assert (completion["seed"], completion["temperature"], completion["stream"]) == (0, 0.0, False)
    assert talk.lost and talk.calls[0].name == READ[0]
