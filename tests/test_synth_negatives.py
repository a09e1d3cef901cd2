"""Negatives: only what the simulator proves wrong, never an equal way to the same end."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.synth.faults import SUCCESS, Draft, Made, made_calls
from lib.synth.mutations import FAMILY_OF_REASON
from lib.synth.negatives import prove, proven_negatives, run_draft
from lib.synth.plans import goal_holds
from lib.synth.sketches import sketch
from lib.toolset import load_toolset
from tests.synth_support import APPEND, LOOK_UP, MOVE, READ, WORDS, candidates, intent


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return candidates(tmp_path_factory.mktemp("kit"))[0]


def by_intent(made, name):
    return next(item for item in made if item.intent.id == name)


def proof_of_calls(candidate, calls, answer=None):
    draft = Draft("world", "wrong-value", tuple(calls))
    return prove(candidate, run_draft(candidate, draft), candidate.answer if answer is None else answer)


def equal_calls(call):
    """Other ways to write the same call: order of arguments, defaults spelled out, another way to write a path."""
    items = list(call.arguments.items())
    yield Made(call.tool, dict([items[0], *reversed(items[1:])]), call.name)
    properties = load_toolset().tools[call.tool].parameters["properties"]
    defaults = {key: part["default"] for key, part in properties.items() if "default" in part}
    yield Made(
        call.tool, {**call.arguments, **{k: v for k, v in defaults.items() if k not in call.arguments}}, call.name
    )
    for key, value in items[1:]:
        if properties.get(key, {}).get("format") == "vault-path":
            yield Made(call.tool, {**call.arguments, key: f"./{value}"}, call.name)


def test_equivalent_calls_are_never_accepted(made):
    tried = 0
    for candidate in made:
        calls = made_calls(candidate)
        for number, call in enumerate(calls):
            for equal in equal_calls(call):
                changed = calls[:number] + (equal,) + calls[number + 1 :]
                run = run_draft(candidate, Draft("world", "wrong-value", changed))
                if all(step.ok for step in run.steps):
                    tried += 1
                    assert prove(candidate, run, candidate.answer) is None
    assert tried > 40


def test_the_positive_itself_is_never_proven_wrong(made):
    for candidate in made:
        assert proof_of_calls(candidate, made_calls(candidate)) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_another_context_is_no_mistake(made, data):
    candidate = data.draw(st.sampled_from(made))
    words = data.draw(st.text(min_size=1).filter(str.strip))
    calls = [
        Made(c.tool, {**c.arguments, "context": {**c.arguments["context"], "primaryGoal": words}}, c.name)
        for c in made_calls(candidate)
    ]
    assert proof_of_calls(candidate, calls) is None


def test_every_negative_is_wrong_by_its_stated_proof(made):
    reasons = Counter()
    for candidate in made:
        for negative in proven_negatives(candidate, WORDS, 2600, Counter()):
            reasons[negative.family] += 1
            code = negative.proof[0]
            if code == "schema":
                codes = [f.code for step in negative.run.steps for f in load_toolset().check(step.tool, step.arguments)]
                assert negative.reason in codes
            if code == "goal":
                assert not goal_holds(negative.run, candidate.intent.goal, candidate.scope)
            if code == "error":
                assert any(not step.ok for step in negative.run.steps)
            if code == "needless":
                assert len(negative.run.steps) > len(candidate.run.steps)
            if code == "claim":
                assert negative.answer != candidate.answer
    assert set(reasons) == {"schema", "world", "process", "decision", "honesty"}


def test_a_sibling_tool_and_a_lost_line_are_proven(made):
    candidate = by_intent(made, "append-line")
    call = made_calls(candidate)[0]
    assert proof_of_calls(candidate, [Made("contentManager_prependContent", call.arguments)])[0] == "goal"
    twice = [call, call]
    assert proof_of_calls(candidate, twice)[0] == "effect"


def test_a_lookup_left_out_is_not_wrong_when_the_rest_works(made):
    """The id is right, so the end state is: that the model cannot know it is no proof of a wrong effect."""
    candidate = by_intent(made, "switch-agent")
    assert proof_of_calls(candidate, made_calls(candidate)[1:]) is None
    assert proof_of_calls(candidate, made_calls(candidate)[:1])[0] == "goal"


def test_an_answer_without_a_call_is_wrong_where_a_call_was_needed(made):
    assert proof_of_calls(by_intent(made, "move-note"), [], "Moved.") == ("goal", "not reached: no call was made")


def test_a_false_number_is_proven_and_a_true_one_is_not(made):
    candidate = by_intent(made, "append-line")
    length = candidate.run.steps[0].result["data"]["appendedLength"]
    calls = made_calls(candidate)
    assert proof_of_calls(candidate, calls, f"Added {length} characters.") is None
    assert proof_of_calls(candidate, calls, f"Added {length + 777} characters.") == ("claim", str(length + 777))


def test_negatives_carry_true_results(made):
    for candidate in made[:10]:
        for negative in proven_negatives(candidate, WORDS, 2600, Counter()):
            again = run_draft(candidate, Draft("", "", tuple(Made(s.tool, s.arguments) for s in negative.run.steps)))
            assert [s.result for s in again.steps] == [s.result for s in negative.run.steps]


@pytest.mark.parametrize("text", [APPEND, MOVE, LOOK_UP, READ])
def test_written_mistakes_have_known_reasons(text):
    for mistake in intent(text).wrong:
        assert mistake["reason"] in FAMILY_OF_REASON


CHAT = """
id: general-question
kind: direct
slots: {o: [{ask: "What does a knot measure?", answer: "Speed at sea: 1852 metres an hour."}]}
asks: {question: ['{o.ask}', 'In general, {o.ask}']}
closes: ['{o.answer}']
"""
GONE = """
id: note-that-is-gone
kind: cannot
slots: {m: moves}
plan:
  - {tool: vaultManager_deleteNote, with: {path: "{m.to}"}, fails: not found}
goal: {gone: "{m.to}"}
asks: {order: ['Delete {m.to}.', 'Remove {m.to} for good.']}
closes: ['There is no {m.to}, so nothing was deleted.']
context: {goal: ['Remove it'], subgoal: ['Delete it'], memory: ['User named {m.to}']}
wrong: [{reason: false-claim, close: 'The note {m.to} is deleted.'}]
"""


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory):
    return candidates(tmp_path_factory.mktemp("mirrors"), intent(CHAT), intent(GONE), intent(MOVE))[0]


def negatives_of(made, name):
    return proven_negatives(by_intent(made, name), WORDS, 2600, Counter())


def test_after_a_fault_the_work_often_goes_on(made):
    schema = [n for item in made for n in proven_negatives(item, WORDS, 2600, Counter()) if n.family == "schema"]
    assert {negative.run.steps[-1].ok for negative in schema} == {True, False}
    mended = [n.run.steps for n in schema if len(n.run.steps) > len(n.source.run.steps)]
    assert mended
    for steps in mended:
        number = next(place for place, step in enumerate(steps) if not step.ok)
        told = steps[number + 1].arguments["context"]["sessionMemory"]
        assert "failed" in told or "refused" in told or "fault" in told


def test_a_deed_that_is_only_claimed_is_proven_and_one_that_was_done_is_not(made):
    candidate = by_intent(made, "append-line")
    run = run_draft(candidate, Draft("honesty", "false-claim", made_calls(candidate)))
    assert prove(candidate, run, "Added, and it is open.", "vaultManager_openNote") == (
        "claim", "vaultManager_openNote was not called"
    )  # fmt: skip
    assert prove(candidate, run, "Added.", "contentManager_appendContent") is None


def test_success_claimed_over_a_real_failure_is_proven_and_owning_up_is_not(mirrors):
    candidate = by_intent(mirrors, "note-that-is-gone")
    run = run_draft(candidate, Draft("honesty", "false-claim", made_calls(candidate)))
    assert prove(candidate, run, "It is deleted.", SUCCESS) == (
        "claim",
        "success, though vaultManager_deleteNote failed",
    )
    assert prove(candidate, run, "It could be found nowhere.", SUCCESS) is None
    reasons = {negative.reason for negative in negatives_of(mirrors, "note-that-is-gone")}
    assert {"false-claim", "claims-after-error"} <= reasons


def test_a_plain_question_needs_no_question_no_refusal_and_no_proof_of_its_numbers(mirrors):
    candidate = by_intent(mirrors, "general-question")
    assert "1852" in candidate.answer and proof_of_calls(candidate, []) is None
    assert proof_of_calls(candidate, [], "A knot is a measure of speed.") is None
    proofs = {negative.reason: negative.proof for negative in negatives_of(mirrors, "general-question")}
    assert proofs == {"needless-question": ("kind", "ask instead of direct"),
                      "needless-refusal": ("kind", "refuse instead of direct")}  # fmt: skip


BOTH = """
id: note-and-agents
slots: {q: questions}
plan:
  - {as: text, tool: contentManager_readContent, with: {filePath: "{q.note.path}"}}
  - {tool: agentManager_listAgents, with: {}}
goal: [{value: ["{text.success}", true]}, {shows: '"prompts"'}]
asks: {order: ['Show me {q.note.path} and my agents.', 'I want {q.note.path} and the agents.']}
closes: ['Both are there.']
context: {goal: ['See both'], subgoal: ['Look'], memory: ['User wants {q.note.title}']}
"""


def test_an_order_that_makes_no_difference_is_no_mistake(tmp_path):
    candidate = candidates(tmp_path, intent(BOTH))[0][0]
    first, second = made_calls(candidate)
    assert proof_of_calls(candidate, [second, first]) is None
    assert proof_of_calls(candidate, [first])[0] == "goal"


def test_a_failure_that_is_reported_is_a_shape_of_its_own(mirrors):
    shapes = {item.intent.id: sketch(item).shape for item in mirrors}
    assert shapes == {"note-that-is-gone": "report", "general-question": "other", "move-note": "single"}
