"""lib/validation.py: valid rows have no problem; each kind of fault, planted alone in a valid row, is caught."""

import copy
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.clean_rows import clean_row
from lib.toolset import load_toolset
from lib.validation import Problem, check_lines, check_row, read_line
from tests import rows
from tests.rows import CONTEXT, arguments, call_text

TOOLSET = load_toolset()


def problems(row) -> list[Problem]:
    line = row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode()
    return check_lines([line], 1, TOOLSET).problems


def with_call(name="contentManager_readContent", args=None, **more) -> dict:
    return rows.row(f"{call_text(name, args)}\n\nDone.", **more)


def context(**changes) -> dict:
    return {"context": {**CONTEXT, **changes}, "filePath": "Garden/Plan.md"}


VALID = {
    "text form": rows.row(),
    "native form": rows.native_row(),
    "no label": {"conversations": rows.row()["conversations"]},
    "no call": rows.row("Which plan do you mean?"),
    "false label": rows.row(label=False),
    "no closing words": rows.row(call_text()),
    "words first": rows.row(f"I look.\n\n{call_text()}\n\nDone."),
    "two calls": rows.row(f"{call_text()}\n\n{call_text()}\n\nDone."),
    "two exchanges": {"conversations": rows.row()["conversations"] * 2},
    "system message": {"conversations": [{"role": "system", "content": "x"}, *rows.row()["conversations"]]},
    "failed call": rows.row(call_text(result='{"success": false, "error": "File not found: x"}')),
    "unanswered call": rows.row(call_text().split("\n\n")[0]),
    "two unanswered calls": rows.row("\n\n".join([call_text().split("\n\n")[0]] * 2)),
    "unanswered call after an answered one": rows.row(f"{call_text()}\n\n{call_text().split(chr(10) * 2)[0]}"),
    "other letters": with_call(args=arguments(filePath="Café/Menü.md"), label=True),
}


@pytest.mark.parametrize("case", VALID)
def test_valid_rows_have_no_problem(case):
    assert problems(VALID[case]) == []


def without(mapping, key) -> dict:
    return {name: value for name, value in mapping.items() if name != key}


# The fourteen kinds of fault, then further ones; each planted in a row that is valid otherwise.
PLANTED = {
    "missing required": (with_call(args=arguments()), "missing-required"),
    "unknown parameter": (with_call(args=arguments(filePath="a.md", encoding="utf-8")), "unknown-parameter"),
    "unknown tool": (with_call("contentManager_readFile"), "unknown-tool"),
    "wrong type": (with_call(args=arguments(filePath="a.md", limit="5", offset=1)), "wrong-type"),
    "bad enum": (with_call("memoryManager_listSessions", arguments(order="newest")), "bad-enum"),
    "number out of range": (with_call("vaultManager_listDirectory", arguments(path="", depth=-1)), "out-of-range"),
    "context not first": (with_call(args={"filePath": "a.md", "context": CONTEXT}), "context-not-first"),
    "missing context field": (
        with_call(args={"context": without(CONTEXT, "subgoal"), "filePath": "a.md"}),
        "context-missing-field",
    ),
    "non-string context field": (with_call(args=context(primaryGoal=["x"])), "context-wrong-type"),
    "empty sessionMemory": (with_call(args=context(sessionMemory="")), "empty-memory"),
    "blank sessionMemory": (with_call(args=context(sessionMemory=" \t")), "empty-memory"),
    "malformed session id": (with_call(args=context(sessionId="session_1_abc")), "bad-session-id"),
    "malformed workspace id": (with_call(args=context(workspaceId="default")), "bad-workspace-id"),
    "path that leaves the vault": (with_call(args=arguments(filePath="../../etc/passwd")), "path-escape"),
    "absolute path": (with_call(args=arguments(filePath="/etc/passwd")), "path-escape"),
    "path of look-alikes": (with_call(args=arguments(filePath="․․／x.md")), "path-escape"),
    "result without success": (rows.row(call_text(result='{"data": {}}')), "bad-result"),
    "result that is no object": (rows.row(call_text(result="[true]")), "bad-result"),
    "result with success as text": (rows.row(call_text(result='{"success": "true"}')), "bad-result"),
    "failed result without error": (rows.row(call_text(result='{"success": false}')), "bad-result"),
    "failed result with blank error": (rows.row(call_text(result='{"success": false, "error": " "}')), "bad-result"),
    "result that is no JSON": (rows.row(call_text(result="it worked")), "bad-result"),
    "words after a call without result": (rows.row(call_text().split("\n\n")[0] + "\n\nDone."), "missing-result"),
    "two calls with one result": (
        rows.row(f"{call_text().split(chr(10) * 2)[0]}\n\n{call_text()}\n\nDone."),
        "missing-result",
    ),
    "two calls with one result at the end": (
        rows.row(f"{call_text().split(chr(10) * 2)[0]}\n\n{call_text()}"),
        "missing-result",
    ),
    "invisible sessionMemory": (with_call(args=context(sessionMemory="\u200b \ufeff")), "empty-memory"),
    "path encoded twice": (with_call(args=arguments(filePath="%252e%252e%252fx.md")), "path-escape"),
    "label that is no bool": (rows.row(label="true"), "bad-label"),
    "label that is a number": (rows.row(label=1), "bad-label"),
    "unknown role": (
        {"conversations": [*rows.row()["conversations"][:1], {"role": "model", "content": "x"}]},
        "unknown-role",
    ),
    "empty answer": (rows.row(""), "empty-answer"),
    "blank answer": (rows.row(" \n"), "empty-answer"),
    "empty question": (rows.row(user=""), "empty-prompt"),
    "key twice in arguments": (
        with_call(args=json.dumps(arguments(filePath="a.md"))[:-1] + ', "filePath": "b.md"}'),
        "duplicate-key",
    ),
    "key twice in context": (
        with_call(args=json.dumps(arguments(filePath="a.md")).replace('"subgoal"', '"subgoal": "x", "subgoal"')),
        "duplicate-key",
    ),
    "key twice in a result": (
        rows.row(call_text(result='{"success": true, "data": {"a": 1, "a": 2}}')),
        "duplicate-key",
    ),
    "key twice in the row": (json.dumps(rows.row())[:-1].encode() + b', "label": true}', "duplicate-key"),
    "arguments that are no JSON": (with_call(args='{"context": {}'), "not-json"),
    "arguments that are no object": (with_call(args="[]"), "not-json"),
    "call without arguments": (rows.row("tool_call: get_tools\n\nDone."), "bad-call"),
    "assistant first": ({"conversations": rows.row()["conversations"][1:]}, "bad-order"),
    "user twice": ({"conversations": [*rows.row()["conversations"][:1], *rows.row()["conversations"]]}, "bad-order"),
    "user last": ({"conversations": [*rows.row()["conversations"], {"role": "user", "content": "?"}]}, "bad-order"),
    "system in the middle": (
        {"conversations": [*rows.row()["conversations"], {"role": "system", "content": "x"}]},
        "bad-order",
    ),
    "content that is no text": ({"conversations": [{"role": "user", "content": None}]}, "bad-content"),
    "no conversation": ({"label": True}, "bad-row"),
    "no JSON": (b'{"conversations": [', "not-jsonl"),
    "no object": (b"[1, 2]", "not-jsonl"),
    "no UTF-8": (b'{"conversations": "\xff\xfe"}', "bad-encoding"),
    "half a surrogate pair": (b'{"conversations": "\\ud800", "label": true}', "bad-encoding"),
    "a NUL": (b"\x00", "not-jsonl"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_fault_is_caught_with_its_code_and_makes_the_row_invalid(case):
    row, code = PLANTED[case]
    line = row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode()
    report = check_lines([b"", line], 7, TOOLSET)
    assert code in [problem.code for problem in report.problems]
    assert all(problem.line == 8 for problem in report.problems)
    assert report.valid == 0
    found = next(problem for problem in report.problems if problem.code == code)
    assert found.severity == "error"
    assert found.message.isprintable() and len(found.message) < 400


def test_most_planted_faults_bring_no_second_problem():
    alone = [case for case, (row, code) in PLANTED.items() if [p.code for p in problems(row)] == [code]]
    assert len(alone) > 0.8 * len(PLANTED)


TOOL_RULES = [
    "missing required",
    "unknown tool",
    "context not first",
    "empty sessionMemory",
    "path that leaves the vault",
]


@pytest.mark.parametrize("case", TOOL_RULES)
def test_a_row_labelled_false_may_break_tool_rules(case):
    row = copy.deepcopy(PLANTED[case][0]) | {"label": False}
    report = check_lines([json.dumps(row).encode()], 1, TOOLSET)
    assert [(p.code, p.severity) for p in report.problems] == [(PLANTED[case][1], "info")]
    assert (report.examples, report.valid, report.false) == (1, 1, 1)


@pytest.mark.parametrize("case", ["empty answer", "unknown role", "key twice in arguments", "result without success"])
def test_a_row_labelled_false_must_keep_the_structure(case):
    row = copy.deepcopy(PLANTED[case][0]) | {"label": False}
    assert [p.severity for p in problems(row) if p.code == PLANTED[case][1]] == ["error"]


def test_a_fault_names_turn_call_and_tool():
    row = rows.row(f"{call_text()}\n\n{call_text(args=arguments(filePath='a.md', limit='x'))}\n\nDone.")
    assert problems(row) == [
        Problem(1, "wrong-type", 'turn 2, call 2: contentManager_readContent: limit: "x" is not of type "number".')
    ]


@pytest.mark.parametrize("char", ["\x14", "\x7f", "\x85", "\ufffd", "\b", "\f"])
@pytest.mark.parametrize("escaped", [True, False])
def test_a_stray_control_character_in_words_is_a_warning(char, escaped):
    line = json.dumps(rows.row(user=f"Cool{char} thing"), ensure_ascii=escaped).encode()
    report = check_lines([line], 1, TOOLSET)
    assert [(p.code, p.severity) for p in report.problems] == [("control-character", "warning")]
    assert report.valid == 1


@pytest.mark.parametrize("char", ["\x00", "\x14", "\b", "\f", "\x7f", "\x85", "\ufffd"])
@pytest.mark.parametrize("escaped", [True, False])
def test_a_stray_control_character_in_arguments_is_a_warning(char, escaped):
    written = json.dumps(arguments(filePath="a.md", content=f"Cool{char} thing"), ensure_ascii=escaped)
    report = check_lines([json.dumps(with_call("contentManager_createContent", written)).encode()], 1, TOOLSET)
    place = f"turn 2, call 1: stray character U+{ord(char):04X} in the arguments"
    assert [(p.code, p.severity, p.message) for p in report.problems] == [("control-character", "warning", place)]
    assert report.valid == 1


def test_a_backslash_before_a_letter_is_no_control_character():
    written = arguments(filePath="a.md", content="C:\\bin \\frac \\u0007 and\ta tab\n")
    assert problems(with_call("contentManager_createContent", written)) == []


def test_the_place_of_a_missing_result_is_its_turn():
    text = f"{call_text().split(chr(10) * 2)[0]}\n\nDone."
    row = {"conversations": [*rows.row()["conversations"], *rows.row(text)["conversations"]], "label": True}
    assert problems(row) == [Problem(1, "missing-result", "turn 4: a call has no result before words follow")]


def test_reading_goes_on_after_unreadable_lines():
    good = json.dumps(rows.row()).encode()
    report = check_lines([b"{", b"\xff", good, b"", b"3", good], 1, TOOLSET)
    assert [(p.line, p.code) for p in report.problems] == [(1, "not-jsonl"), (2, "bad-encoding"), (5, "not-jsonl")]
    assert (report.lines, report.examples, report.valid, report.true) == (6, 2, 2, 2)


def test_a_deeply_nested_line_is_one_problem():
    assert [p.code for p in problems(b"[" * 10_000 + b"]" * 10_000)] == ["not-jsonl"]


# ---------------------------------------------------------------- the short cut


def test_typical_rows_take_the_short_cut():
    taken = [case for case, row in VALID.items() if clean_row(json.dumps(row, ensure_ascii=False).encode(), TOOLSET)]
    assert {"text form", "no label", "no call", "false label", "words first", "two calls"} <= set(taken)
    assert clean_row(orjson.dumps(rows.row()), TOOLSET) == rows.row()


@pytest.mark.parametrize("case", PLANTED)
def test_no_planted_fault_passes_the_short_cut(case):
    row = PLANTED[case][0]
    spaced = row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode()
    assert clean_row(spaced, TOOLSET) is None
    if not isinstance(row, bytes):
        assert clean_row(orjson.dumps(row), TOOLSET) is None


BASES = [
    json.dumps(VALID[case], ensure_ascii=False) for case in ("text form", "words first", "two calls", "other letters")
]
EDITS = ['"', "\\", "}", "{", ":", ",", " ", "\\n", "\\n\\n", "tool_call: ", "Result: ", "arguments: ", "..", "\\u003a",
         "x", '\\"x\\": 1, ', '"label": true, ', "\\u0007", "\ufffd", "1e999", "é", "/"]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_the_short_cut_never_passes_a_row_with_a_problem(data):
    line = data.draw(st.sampled_from(BASES))
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(line)))
        line = line[:at] + data.draw(st.sampled_from(EDITS)) + line[at + data.draw(st.integers(0, 3)) :]
    encoded = line.encode()
    row = clean_row(encoded, TOOLSET)
    if row is not None:
        read, faults = read_line(encoded)
        assert (read, faults) == (row, [])
        assert check_row(read, TOOLSET)[1] == []
