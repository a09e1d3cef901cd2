"""The lint of prompt sets: vacuous and unsatisfiable cases are named, and the simulator tells what is no mutant."""

import json
from dataclasses import replace

import jsonschema_rs
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evaluator import prompt_lint
from evaluator.cases import Case, load_cases
from evaluator.leaves import leaves, other_value, with_leaf
from evaluator.mutants import Answer, mutants, played, reference
from evaluator.prompt_lint import changes_nothing, lint
from lib.toolset import load_toolset
from scripts.lint_prompts import main

TOOLSET = load_toolset()
VAULT = {"notes": {"A.md": "alpha", "B.md": "beta", "C/D.md": "delta"}}
READ, DELETE = "contentManager_readContent", "vaultManager_deleteNote"


def case(*gold, grade="state", goal=None, **more):
    plan = tuple({"name": name, "arguments": arguments} for name, arguments in gold)
    tools = tuple(name for name, _ in gold)
    return Case("c", "q", tools=tools, gold=plan, goal=goal or {}, vault=VAULT, grade=grade, **more)


def test_a_sound_case_is_killed_whole():
    report = lint("s", [case((READ, {"filePath": "A.md"}), grade="calls")], TOOLSET)
    assert report.good and report.score == 1.0 and report.survivors == [] and report.planted > 15


def test_a_case_that_passes_on_doing_nothing_is_named():
    report = lint("s", [case((READ, {"filePath": "A.md"}))], TOOLSET)
    assert not report.good
    assert {("c", "no call"), ("c", "prose")} <= set(report.vacuous)


def test_a_case_whose_gold_plan_fails_is_named():
    report = lint("s", [case((DELETE, {"path": "A.md"}), goal={"exists": ["A.md"]})], TOOLSET)
    assert not report.good and report.refused[0] == ("c", "reference", "goal-missing: A.md should exist")


def test_a_case_without_a_gold_plan_cannot_be_tested_and_says_so():
    report = lint("s", [Case("c", "q", tools=(READ,), arguments=({"filePath": "A.md"},))], TOOLSET)
    assert not report.good and report.refused == [("c", "reference", "there is no gold plan to make answers from")]


def test_a_checker_that_falls_over_is_reported_and_the_rest_is_judged(monkeypatch):
    real = prompt_lint.judge_answer

    def judged(one, answer, toolset):
        if one.id == "bad" and answer.kind == "doubled call":
            raise ZeroDivisionError("oh")
        return real(one, answer, toolset)

    monkeypatch.setattr(prompt_lint, "judge_answer", judged)
    sound = case((READ, {"filePath": "A.md"}), grade="calls")
    report = lint("s", [replace(sound, id="bad"), sound], TOOLSET)
    assert report.crashes == [("bad", "ZeroDivisionError: oh")] and not report.good and report.cases == 2


@pytest.mark.parametrize(
    "part", ["checkers.end_findings", "checkers.goal_findings", "checkers.unseen_ids", "state_checker.destroyed"]
)
def test_a_checker_that_has_gone_blind_is_found_by_the_shipped_sets(monkeypatch, part):
    cases = [one for one in load_cases(["behaviour"], TOOLSET) if one.tags[0] in ("nothing to do", "destructive")]
    assert lint("s", cases, TOOLSET).good
    monkeypatch.setattr(f"evaluator.{part}", lambda *args: [])
    assert not lint("s", cases, TOOLSET).good


def test_a_set_without_wrong_answers_is_not_good():
    assert not lint("s", [], TOOLSET).good


def test_replies_that_a_case_calls_right_must_pass_and_those_it_calls_wrong_fail():
    told = {"right": ["Which one do you mean?"], "wrong": ["It is deleted."]}
    asks = case(goal={"asks": ["which"]}, replies=told)
    assert lint("s", [asks], TOOLSET).good
    swapped = lint("s", [replace(asks, replies={"right": told["wrong"], "wrong": told["right"]})], TOOLSET)
    assert swapped.refused == [("c", "said otherwise", "no-question: the reply should ask back")]
    assert [kind for _, kind, _ in swapped.survivors] == ["wrong reply"]


# ---------------------------------------------------------------- what changes nothing

LOOKUP = case(("vaultLibrarian_searchContent", {"query": "beta"}), (DELETE, {"path": "B.md"}))


def same(wanted, *calls):
    right = reference(wanted, TOOLSET)
    context = right.calls[0][1]["context"]
    answer = Answer("", tuple((name, {"context": context, **arguments}) for name, arguments in calls), right.reply)
    return changes_nothing(wanted, played(wanted, right), played(wanted, answer))


SEARCH = ("vaultLibrarian_searchContent", {"query": "beta"})
GONE = (DELETE, {"path": "B.md"})


@pytest.mark.parametrize(
    "calls, nothing",
    [
        ([SEARCH, GONE], True),
        ([SEARCH, SEARCH, GONE], True),
        ([("vaultLibrarian_searchContent", {"query": "beta", "limit": 1}), GONE], True),
        ([GONE], False),  # the question does not tell the path
        ([("vaultLibrarian_searchContent", {"query": "gamma"}), GONE], False),
        ([SEARCH], False),
        ([SEARCH, GONE, (DELETE, {"path": "A.md"})], False),
        ([SEARCH, (DELETE, {"path": "A.md"})], False),
    ],
)
def test_the_simulator_tells_what_changes_nothing(calls, nothing):
    assert same(LOOKUP, *calls) is nothing


def test_by_calls_every_result_of_the_right_answer_must_be_there():
    wanted = case((READ, {"filePath": "A.md"}), grade="calls")
    assert same(wanted, (READ, {"filePath": "A.md"}), (READ, {"filePath": "A.md"}))
    assert not same(wanted, (READ, {"filePath": "A.md", "includeLineNumbers": True}))
    assert not same(wanted, ("vaultLibrarian_searchContent", {"query": "alpha"}))


# ---------------------------------------------------------------- the mutants

DEEP = {
    "operations": [
        {"type": "append", "params": {"filePath": "A.md", "content": "x"}},
        {"type": "read", "params": {"filePath": "B.md"}},
    ]
}


def test_mutants_reach_into_lists_and_objects():
    found = {
        json.dumps(arguments["operations"])
        for answer in mutants(case(("contentManager_batchContent", DEEP)), TOOLSET)
        if answer.kind == "wrong value"
        for _, arguments in answer.calls
    }
    assert len(found) == 5


JSON = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_every_leaf_can_be_replaced_by_another_value_of_its_type(value):
    for leaf in leaves(value, None, {}):
        other = other_value(leaf)
        changed = with_leaf(value, leaf.path, other)
        assert changed != value or type(changed) is not type(value)
        assert with_leaf(changed, leaf.path, leaf.value) == value
        if not isinstance(leaf.value, list | dict):
            assert type(other) is type(leaf.value)


def test_a_text_is_glued_to_what_is_there_only_where_that_makes_other_lines():
    append, cut = "contentManager_appendContent", "contentManager_deleteContent"

    def glued(*call):
        wanted = replace(case(call), vault={"notes": {"A.md": "alpha\nomega"}})
        return [answer.calls[0][1] for answer in mutants(wanted, TOOLSET) if answer.kind == "glued line"]

    (made,) = glued(append, {"filePath": "A.md", "content": "\nnew"})
    assert made["content"] == "new"
    assert glued(append, {"filePath": "A.md", "content": "new"}) == []
    assert glued(cut, {"filePath": "A.md", "content": "alpha\n"}) == []  # a blank line stays


def test_an_enum_is_replaced_by_another_of_its_values():
    (leaf,) = leaves("tab", None, {"enum": ["tab", "split"]})
    assert other_value(leaf) == "split"


def test_right_and_doubled_calls_fit_the_schemas_by_another_librarys_word():
    """The mutants of value are wrong in meaning, not in form: jsonschema-rs takes them, called directly."""
    wanted = case((READ, {"filePath": "A.md"}))
    validator = jsonschema_rs.validator_for(TOOLSET.tools[READ].parameters)
    kinds = {answer.kind: [validator.is_valid(arguments) for _, arguments in answer.calls]
             for answer in mutants(wanted, TOOLSET) if answer.calls}  # fmt: skip
    assert kinds["wrong value"] == [True] and kinds["doubled call"] == [True, True]
    assert kinds["mistyped argument"] == [False] and kinds["missing argument"] == [False]


# ---------------------------------------------------------------- the script


def run(*arguments):
    return CliRunner().invoke(main, arguments)


def suite(tmp_path, *rows):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


SOUND = {
    "id": "one",
    "question": "Delete B.md.",
    "grade": "state",
    "gold": [{"name": DELETE, "arguments": {"path": "B.md"}}],
    "vault": VAULT,
}


def test_a_sound_suite_exits_0_and_a_vacuous_case_1(tmp_path):
    sound = run("--prompts", suite(tmp_path, SOUND))
    assert sound.exit_code == 0 and "kill score" in sound.stdout and "100.0 %" in sound.stdout
    empty = {"id": "two", "question": "Read A.md.", "grade": "state", "vault": VAULT}
    empty["gold"] = [{"name": READ, "arguments": {"filePath": "A.md"}}]
    found = run("--prompts", suite(tmp_path, SOUND, empty))
    assert found.exit_code == 1 and "two: vacuous: passes with no call" in found.stderr


def test_json_tells_programs_every_operator_and_survivor(tmp_path):
    (report,) = json.loads(run("--json", "--prompts", suite(tmp_path, SOUND)).stdout).values()
    assert report["good"] and report["killed"] == report["planted"] and report["survivors"] == []
    assert report["operators"]["no call"] == {"killed": 1, "planted": 1, "equivalent": 0}


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is empty"),
        ("{}\n", "id must be a text"),
        ('{"id": "a", "question": "q", "grade": "stat"}\n', "grade must be one of"),
        ('{"id": "a", "question": "q", "grade": "state"}\n', "needs a vault"),
        ('{"id": "a", "question": "q", "alternatives": [[]], "vault": {"notes": {}}}\n', "need grade state"),
        ('{"id": "a", "question": "q", "alternatives": [7], "vault": {}}\n', "a list of plans"),
        ('{"id": "a", "question": "q", "goal": {"asks": 1}}\n', "the goal asks must be JSON like"),
        ('{"id": "a", "question": "q", "goal": {"wants": 1}}\n', "unknown goal wants"),
        ('{"id": "a", "question": "q", "goal": {"reply": [["a", 7]]}}\n', 'the goal reply must be JSON like ["all"'),
        ('{"id": "a", "question": "q", "goal": {"unsaid": [["a"]]}}\n', "the goal unsaid must be JSON like []"),
        ('{"id": "a", "question": "q", "goal": {"contains": {"A.md": 7}}}\n', "the goal contains must be JSON like {}"),
        ('{"id": "a", "question": "q", "replies": {"good": []}}\n', "texts under right and wrong"),
        ("\xff", "not JSON"),
    ],
)
def test_bad_suites_are_refused_in_a_sentence(tmp_path, text, words):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(text.encode("latin-1"))
    answer = run("--prompts", str(path))
    assert answer.exit_code == 2 and words in answer.stderr and "Traceback" not in answer.stderr


def test_a_set_that_is_not_there_is_named_with_those_that_are():
    answer = run("--prompts", "nothere")
    assert answer.exit_code == 2 and "behaviour" in answer.stderr


def test_shipped_sets_are_taken_when_none_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("evaluator.cases.PROMPTS", tmp_path)
    suite(tmp_path, SOUND)
    assert list(json.loads(run("--json").stdout)) == ["mine"]
    assert [one.id for one in load_cases(["mine"], TOOLSET)] == ["one"]
