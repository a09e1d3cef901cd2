"""The grammar of the text form lets every shipped call through, and nothing that breaks names, keys, types or enums."""

import copy
import json
import re

import pytest

from evaluator.parsing import find_calls
from lib.chat import dump_arguments
from lib.grammar import text_grammar
from lib.jsonl import read_rows
from lib.server import serve
from lib.toolset import load_toolset
from tests.gguf_support import write_toy_gguf

# What a grammar does not say: ranges and lengths of values, paths that lead out, conditions between keys, and that a
# memory must be more than blanks.
LEFT_TO_THE_CHECK = {"empty-memory", "out-of-range", "path-escape", "bad-length", "bad-pattern", "no-match"}


def as_regex(grammar: str) -> re.Pattern:
    """The call rule as a regular expression; rules that hold themselves (any JSON value) become 'anything'."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines() if " ::= " in line)
    token = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\](?:\{[\d,]+\})?|[A-Za-z][\w-]*|[()|*+?]|\s+')

    def convert(body: str, above: tuple) -> str:
        out = ""
        for piece in token.findall(body):
            if piece.startswith('"'):
                out += f"(?:{re.escape(json.loads(piece))})"
            elif piece[0] in "[()|*+?":
                out += "(?:" if piece == "(" else piece
            elif piece.strip():
                out += "(?:.*)" if piece in ("value", "any") or piece in above else expand(piece, above)
        return out

    def expand(name: str, above: tuple) -> str:
        return f"(?:{convert(rules[name], (*above, name))})"

    return re.compile(expand("call", ()), re.DOTALL)


@pytest.fixture(scope="module")
def toolset():
    return load_toolset()


@pytest.fixture(scope="module")
def pattern(toolset):
    return as_regex(text_grammar(toolset))


def shipped_calls():
    from lib.chat import example_from_row

    for _, row in read_rows("datasets/syngen_tools_sft.jsonl"):
        yield from example_from_row(row)[0].calls


def test_every_call_of_the_shipped_positives_is_let_through(pattern):
    calls = list(shipped_calls())
    assert len({call.name for call in calls}) == 47
    refused = [
        c for c in calls if not pattern.fullmatch(f"tool_call: {c.name}\narguments: {dump_arguments(c.arguments)}")
    ]
    assert refused == []


def broken(call):
    """(what is wrong, tool, arguments): each against one thing that the grammar holds."""
    given, context = call.arguments, call.arguments["context"]
    rest = {key: value for key, value in given.items() if key != "context"}
    yield "unknown tool", call.name.replace("append", "add"), given
    yield "unknown key", call.name, {**given, "force": True}
    yield "missing key", call.name, {"context": context, "filePath": given["filePath"]}
    yield "context last", call.name, {**rest, "context": context}
    yield "type", call.name, {**given, "content": 7}
    yield "no memory", call.name, {**given, "context": {**context, "sessionMemory": ""}}
    yield "id", call.name, {**given, "context": {**context, "sessionId": "session_12_x"}}
    yield "no context field", call.name, {**given, "context": {k: v for k, v in context.items() if k != "subgoal"}}


def test_what_breaks_names_keys_types_or_ids_is_refused(pattern):
    call = next(call for call in shipped_calls() if call.name == "contentManager_appendContent")
    for what, name, arguments in broken(copy.deepcopy(call)):
        assert not pattern.fullmatch(f"tool_call: {name}\narguments: {dump_arguments(arguments)}"), what


def test_a_random_model_served_under_it_makes_only_calls_that_fit(llama, toolset, tmp_path):
    """llama.cpp itself reads the grammar: whatever random weights sample, names, keys, types and ids are right."""
    from lib.transport import Http

    grammar = text_grammar(toolset).replace("(call | prose)", "call")
    model = write_toy_gguf(tmp_path / "toy.gguf", "{{ messages[0].content }}")
    found = []
    with serve(model, context=2048, parallel=1) as server:
        http = Http(server.url, 60)
        asked = {"prompt": "x", "grammar": grammar, "n_predict": 1500, "temperature": 1.0, "stop": ["\nResult:"]}
        asked["logit_bias"] = [['"', 6.0], ["]", 3.0]]  # else a random string goes on for thousands of characters
        for seed in range(16):
            body = http.post("/completion", {**asked, "seed": seed})
            if body["stop_type"] != "limit":
                found += find_calls(body["content"])[:1]
    assert len(found) >= 8
    codes = {finding.code for call in found for finding in toolset.check(call.name, call.arguments)}
    assert codes <= LEFT_TO_THE_CHECK, codes
