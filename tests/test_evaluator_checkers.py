"""The verdict on an answer: right tools in order, valid calls, accepted arguments, end state, nothing extra."""

import pytest

from evaluator.cases import Case, filled
from evaluator.checkers import MadeCall, judge
from evaluator.goals import reference_context
from evaluator.mutants import Answer, judge_answer
from evaluator.values import is_exact, same_json, why_not
from lib.toolset import load_toolset

TOOLSET = load_toolset()
CONTEXT = reference_context(TOOLSET)
VAULT = {
    "notes": {"Inbox/Plan.md": "one\ntwo", "Inbox/Old.md": "old", "Ideas.md": "# Ideas"},
    "agents": [{"id": "prompt_1740000000000_aaaaaaaaa", "name": "Helper", "description": "d", "prompt": "p"}],
}
READ, APPEND, MOVE = "contentManager_readContent", "contentManager_appendContent", "vaultManager_moveNote"
DELETE, CREATE, TOGGLE = "vaultManager_deleteNote", "agentManager_createAgent", "agentManager_toggleAgent"
OPEN = "vaultManager_openNote"


def call(tool, /, **arguments):
    return tool, {"context": CONTEXT, **arguments}


def case(*gold, rules=(), goal=None):
    plan = tuple({"name": name, "arguments": arguments} for name, arguments in gold)
    return Case("c", "q", tools=tuple(n for n, _ in gold), gold=plan, arguments=rules, goal=goal or {}, vault=VAULT)


def verdict(wanted, *calls, reply="Done."):
    return judge_answer(wanted, Answer("", calls, reply), TOOLSET)


def codes(wanted, *calls, reply="Done."):
    return {finding.code for finding in verdict(wanted, *calls, reply=reply).findings}


APPENDED = case((APPEND, {"filePath": "Ideas.md", "content": "\n- new"}))
TWO_STEPS = case((READ, {"filePath": "Inbox/Plan.md"}), (APPEND, {"filePath": "Ideas.md", "content": "\n- new"}))
MOVED = case((MOVE, {"path": "Inbox/Plan.md", "newPath": "Plan.md"}))


def test_the_gold_call_passes_with_right_tool_and_valid_call():
    found = verdict(APPENDED, call(APPEND, filePath="Ideas.md", content="\n- new"))
    assert found.passed and found.right_tool and found.valid_call


@pytest.mark.parametrize("content", ["- new", "\n\n- NEW\n", "-  new "])
def test_free_text_may_differ_in_case_and_spacing(content):
    assert verdict(APPENDED, call(APPEND, filePath="Ideas.md", content=content)).passed


@pytest.mark.parametrize("content", ["- new.", "- new line", "new", "-new"])
def test_free_text_may_not_differ_in_words_or_punctuation(content):
    assert "wrong-argument" in codes(APPENDED, call(APPEND, filePath="Ideas.md", content=content))


@pytest.mark.parametrize("path", ["ideas.md", "Ideas", "Ideas .md", "Id-eas.md", "Inbox/Plan.md"])
def test_paths_are_exact(path):
    assert "wrong-argument" in codes(APPENDED, call(APPEND, filePath=path, content="- new"))


def test_no_call_is_neither_right_nor_valid():
    found = verdict(APPENDED)
    assert [finding.code for finding in found.findings] == ["no-call"]
    assert not found.right_tool and not found.valid_call


def test_wrong_tool_is_named():
    found = verdict(MOVED, call(DELETE, path="Inbox/Plan.md"))
    assert {finding.code for finding in found.findings} == {"wrong-tool", "destructive-extra"}
    assert found.valid_call and not found.right_tool


def test_reversed_order_fails():
    found = verdict(TWO_STEPS, call(APPEND, filePath="Ideas.md", content="- new"), call(READ, filePath="Inbox/Plan.md"))
    assert "wrong-order" in {finding.code for finding in found.findings} and not found.right_tool


def test_half_done_fails():
    assert codes(TWO_STEPS, call(READ, filePath="Inbox/Plan.md")) == {"missing-call"}


def test_reading_more_than_needed_is_free():
    reads = [call(READ, filePath="Ideas.md"), call("vaultManager_listDirectory", path="")]
    assert verdict(APPENDED, *reads, call(APPEND, filePath="Ideas.md", content="- new")).passed


def test_expected_read_is_found_among_other_reads():
    plan = [call(READ, filePath=path) for path in ("Ideas.md", "Inbox/Plan.md", "Inbox/Old.md")]
    assert verdict(TWO_STEPS, *plan, call(APPEND, filePath="Ideas.md", content="- new")).passed


def test_doubled_write_fails():
    once = call(APPEND, filePath="Ideas.md", content="- new")
    assert codes(APPENDED, once, once) == {"extra-call", "wrong-state"}


def test_destructive_extra_fails_even_when_the_task_is_done():
    done = call(APPEND, filePath="Ideas.md", content="- new")
    assert "destructive-extra" in codes(APPENDED, done, call(DELETE, path="Inbox/Old.md"))


def test_failing_call_is_told_with_the_tools_own_words():
    wanted = case((READ, {"filePath": "Nowhere.md"}))
    (finding,) = verdict(wanted, call(READ, filePath="Nowhere.md")).findings
    assert finding.code == "call-failed" and "Nowhere.md" in finding.message


def test_arguments_equal_to_the_schemas_default_are_no_difference():
    assert verdict(MOVED, call(MOVE, path="Inbox/Plan.md", newPath="Plan.md", overwrite=False)).passed
    wanted = case((OPEN, {"path": "Ideas.md", "mode": "current"}))
    assert verdict(wanted, call(OPEN, path="Ideas.md")).passed
    assert codes(wanted, call(OPEN, path="Ideas.md", mode="tab")) == {"wrong-argument"}


def test_argument_nobody_asked_for_fails():
    assert codes(MOVED, call(MOVE, path="Inbox/Plan.md", newPath="Plan.md", overwrite=True)) == {"unexpected-argument"}


def test_workspace_context_is_not_judged():
    extra = {"workspaceContext": {"workspaceId": "ws_1740000000000_aaaaaaaaa"}}
    assert verdict(APPENDED, call(APPEND, filePath="Ideas.md", content="- new", **extra)).passed


def test_schema_and_context_faults_carry_the_toolsets_codes():
    wrong = (APPEND, {"filePath": 7, "verbosity": 1, "context": {**CONTEXT, "sessionMemory": ""}})
    found = verdict(APPENDED, wrong)
    schema = {"wrong-type", "unknown-parameter", "context-not-first", "empty-memory"}
    assert {f.code for f in found.findings if f.path.startswith("calls[0].arguments.")} >= schema - {
        "context-not-first"
    }
    assert schema <= {f.code for f in found.findings}
    assert found.right_tool and not found.valid_call


def test_arguments_that_are_no_json_are_one_finding_and_the_tool_still_counts_as_right():
    made = MadeCall(APPEND, None, {"success": False}, "hermes", "not JSON: end of text")
    found = judge(APPENDED, [made], "", APPENDED.fresh_vault(), TOOLSET)
    assert [finding.code for finding in found.findings] == ["bad-json"]
    assert found.right_tool and not found.valid_call


def test_own_words_where_the_case_leaves_them_free_reach_the_same_end_state():
    rules = ({"content": {"contains": ["new"]}},)
    wanted = case((APPEND, {"filePath": "Ideas.md", "content": "\n- new"}), rules=rules)
    assert verdict(wanted, call(APPEND, filePath="Ideas.md", content="\n\nSomething new, at last")).passed


def test_id_that_an_earlier_result_gave_is_expected_in_the_next_call():
    new = {"name": "Second", "description": "d", "prompt": "p"}
    wanted = case((CREATE, new), (TOGGLE, {"id": "${1.data.id}"}))
    assert verdict(wanted, call(CREATE, **new), call(TOGGLE, id="${1.data.id}")).passed
    guessed = call(TOGGLE, id="prompt_1740000000000_aaaaaaaaa")
    assert "wrong-argument" in codes(wanted, call(CREATE, **new), guessed)


def test_filled_leaves_what_no_result_holds():
    results = [{"data": {"items": [{"id": "x"}]}}]
    assert filled({"a": ["${1.data.items.0.id}", "${2.data.id}", 3]}, results) == {"a": ["x", "${2.data.id}", 3]}


def test_rule_for_either_of_two_parameters_takes_one_or_both_but_not_none():
    rules = ({"id|name": {"one_of": ["Helper", {"exact": "prompt_1740000000000_aaaaaaaaa"}]}},)
    wanted = case(("agentManager_getAgent", {"name": "Helper"}), rules=rules)
    assert verdict(wanted, call("agentManager_getAgent", name="Helper")).passed
    assert verdict(wanted, call("agentManager_getAgent", id="prompt_1740000000000_aaaaaaaaa")).passed
    assert "wrong-argument" in codes(wanted, call("agentManager_getAgent", name="Other"))
    assert "missing-argument" in codes(wanted, call("agentManager_getAgent"))


def test_goals_are_checked_beside_the_gold_plan():
    goal = {
        "exists": ["Plan.md"],
        "missing": ["Inbox/Old.md"],
        "contains": {"Ideas.md": ["x"]},
        "lacks": {"Plan.md": "one"},
    }
    found = [f.code for f in verdict(case((MOVE, {"path": "Inbox/Plan.md", "newPath": "Plan.md"}), goal=goal)).findings]
    assert found == ["no-call", "goal-missing", "goal-present", "goal-text"]


NOTHING_WANTED = case(goal={"asks": True})


def test_asking_back_passes_and_acting_fails():
    assert verdict(NOTHING_WANTED, reply="Which note do you mean?").passed
    found = verdict(NOTHING_WANTED, call(DELETE, path="Inbox/Old.md"), reply="Which one?")
    assert {finding.code for finding in found.findings} == {"unexpected-call", "wrong-state"} and not found.right_tool


@pytest.mark.parametrize("reply, code", [("", "empty-reply"), ("Done.", "no-question")])
def test_silence_or_a_claim_is_no_question(reply, code):
    assert code in codes(NOTHING_WANTED, reply=reply)


def test_reply_must_hold_one_of_the_words():
    wanted = case(goal={"reply": [["cannot", "no tool"]]})
    assert verdict(wanted, reply="There is NO  tool for that.").passed
    assert codes(wanted, reply="I sent it.") == {"reply-lacks"}


def test_endless_closing_text_after_a_right_call_is_no_fault_but_an_endless_answer_is():
    right = MadeCall(READ, {"context": CONTEXT, "filePath": "Ideas.md"}, {"success": True})
    wanted = case((READ, {"filePath": "Ideas.md"}))
    assert judge(wanted, [right], "and so on", wanted.fresh_vault(), TOOLSET, cut_off=True).passed
    endless = judge(wanted, [], "and so on", wanted.fresh_vault(), TOOLSET, cut_off=True)
    assert [finding.code for finding in endless.findings] == ["cut-off", "no-call"]
    chatter = judge(case(), [], "and so on", wanted.fresh_vault(), TOOLSET, cut_off=True)
    assert [finding.code for finding in chatter.findings] == ["cut-off"]


# ---------------------------------------------------------------- single values

PATH, WORDS, ENUM = {"format": "vault-path"}, {"type": "string"}, {"enum": ["tab", "split"]}
PAIR = {"type": "object", "properties": {"path": PATH, "note": WORDS, "deep": {"default": False}}}

# rule, value, schema, accepted?
VALUES = [
    ("A b", "a  B", WORDS, True),
    ("A b", "A-b", WORDS, False),
    ("Straße", "STRASSE", WORDS, True),
    ("A b", "a b", PATH, False),
    ("tab", "Tab", ENUM, False),
    ("ws_1740000000000_abcdefghi", "WS_1740000000000_abcdefghi", WORDS, False),
    ("Notes.md", "notes.md", WORDS, False),
    (1, 1.0, {}, True),
    (1, True, {}, False),
    (True, 1, {}, False),
    (0, False, {}, False),
    (None, None, {}, True),
    (3, "3", {}, False),
    (["a"], ["A"], {"items": WORDS}, True),
    (["a"], ["A"], {"items": PATH}, False),
    (["a", "b"], ["b", "a"], {"items": WORDS}, False),
    (["a"], "a", {}, False),
    ({"path": "a", "note": "x"}, {"note": "X", "path": "a"}, PAIR, True),
    ({"path": "a"}, {"path": "a", "deep": False}, PAIR, True),
    ({"path": "a"}, {"path": "a", "deep": True}, PAIR, False),
    ({"path": "a"}, {}, PAIR, False),
    ({"path": "a"}, "a", PAIR, False),
    ({"exact": "A"}, "a", WORDS, False),
    ({"exact": {"a": [1]}}, {"a": [1.0]}, {}, True),
    ({"text": "A"}, "a", PATH, True),
    ({"contains": ["x", "y"]}, "Y and X", WORDS, True),
    ({"contains": ["x", "y"]}, "just x", WORDS, False),
    ({"contains": ["x"]}, ["x"], WORDS, False),
    ({"glob": "*.md"}, "a/b.md", PATH, True),
    ({"glob": "*.md"}, "a/b.txt", PATH, False),
    ({"glob": "*.md"}, 7, PATH, False),
    ({"any": True}, "something", WORDS, True),
    ({"any": True}, "  ", WORDS, False),
    ({"any": True}, 0, {}, True),
    ({"absent": True}, "x", WORDS, False),
    ({"one_of": ["a", {"exact": 2}]}, 2, {}, True),
    ({"one_of": ["a", {"exact": 2}]}, "b", {}, False),
    ({"items": [{"any": True}]}, ["q"], {}, True),
    ({"items": [{"any": True}]}, ["q", "r"], {}, False),
    ({"set": ["a", "b"]}, ["b", "a"], {"items": WORDS}, True),
    ({"set": ["a", "b"]}, ["a", "a"], {"items": WORDS}, False),
    ({"set": [{"any": True}, "a"]}, ["a", "b"], {"items": WORDS}, True),  # needs the better assignment
    ({"fields": {"a": {"any": True, "optional": True}, "b": 1}}, {"b": 1}, {}, True),
    ({"fields": {"b": 1}}, {"b": 1, "c": 2}, {}, False),
]


@pytest.mark.parametrize("rule, value, schema, accepted", VALUES)
def test_rule_accepts_just_what_it_says(rule, value, schema, accepted):
    assert (why_not(rule, value, schema) == "") is accepted


@pytest.mark.parametrize(
    "rule, schema, exact",
    [
        ("x", PATH, True),
        ("x", WORDS, False),
        (7, {}, True),
        (["x"], {"items": PATH}, True),
        (["x"], {"items": WORDS}, False),
        ({"path": "x"}, PAIR, True),
        ({"note": "x"}, PAIR, False),
        ({"exact": "x"}, WORDS, True),
        ({"any": True}, WORDS, False),
        ("${1.data.id}", WORDS, True),
    ],
)
def test_rule_is_exact_when_one_value_only_fits(rule, schema, exact):
    assert is_exact(rule, schema) is exact


def test_json_equality_is_strict_about_types_only():
    assert same_json({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]})
    assert not same_json({"a": 1}, {"a": 1, "b": 2}) and not same_json([1], [1, 1]) and not same_json("1", 1)
