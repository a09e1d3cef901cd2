"""lib.synth.taught: rows that hold, and every reason for which one does not."""

import contextlib
import copy
import json

import pytest

from lib.chat import example_from_row
from lib.overlap import Index
from lib.synth.replay import replay
from lib.synth.rows import Reject, Worlds
from lib.synth.tasks import Task
from lib.synth.taught import Judge, teach
from lib.teacher import Answer
from lib.toolset import load_toolset
from tests.synth_support import material
from tests.teacher_support import APPENDS, CONTEXT, FOLDERS, appended, call, first_reply, good_reply

READS = "contentManager_readContent"
WORDS = "fit new halyard and tiller"


@pytest.fixture
def boat(tmp_path):
    """The boat world under seed 1."""
    return Worlds(material(tmp_path), 4)


def judge(**changes):
    given = {"toolset": load_toolset(), "informing": frozenset(), "evaluated": Index(), "shipped": Index()}
    return Judge(**given | changes)


def task(worlds, kind, tool):
    related = ("vaultLibrarian_searchContent", "vaultManager_listDirectory") if tool else ()
    expanded = worlds.get("boat", 1)
    return Task(1, kind, "order", tool, related, "Spring jobs", "Boat/Log.md", expanded, ("taught", 0, 1))


def told(worlds, replies, kind="act", tool=APPENDS, by=None):
    """What becomes of these replies, given as objects or as text."""
    left = iter(replies)
    seen = []

    def ask(messages, schema):
        seen.append((messages, schema))
        reply = next(left)
        return Answer(reply if isinstance(reply, str) else json.dumps(reply), False)

    taught = teach(task(worlds, kind, tool), ask, by or judge())
    assert next(left, None) is None, "not every reply was asked for"
    return taught, seen


def refused(worlds, replies, kind="act", tool=APPENDS, by=None):
    """The Reject of these replies."""
    with pytest.raises(Reject) as caught:
        told(worlds, replies, kind, tool, by)
    return caught.value


def changed(reply, *path, to):
    """The reply with one place of it changed."""
    reply = copy.deepcopy(reply)
    place = reply
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return reply


DONE = {"closing": "The line is in Boat/Log.md."}


# ---------------------------------------------------------------------------------- good rows


def test_a_good_row_has_the_engines_ids_and_a_proof_that_replays(boat):
    taught, seen = told(boat, [appended(WORDS), DONE])
    [made] = example_from_row(taught.row)[0].calls
    assert list(made.arguments) == ["context", "filePath", "content"]
    context = made.arguments["context"]
    assert {name: text for name, text in context.items() if not name.endswith("Id")} == CONTEXT
    assert context["sessionId"].startswith("session_") and context["workspaceId"].startswith("ws_")
    assert replay(taught.row, boat, taught.proof) is None
    assert (taught.proof["kind"], taught.proof["tool"], taught.proof["act"]) == ("act", APPENDS, "order")
    assert len(seen) == 2
    assert '"appendedLength"' in seen[1][0][-1]["content"], "the second prompt shows the true result"


def test_ids_that_the_teacher_makes_up_are_not_taken(boat):
    own = changed(appended(WORDS), "calls", 0, "arguments", "context", to={**CONTEXT, "sessionId": "mine", "mood": "x"})
    taught, _ = told(boat, [own, DONE])
    plain, _ = told(boat, [appended(WORDS), DONE])
    assert taught.row == plain.row


@pytest.mark.parametrize("kind", ["lookup", "repair", "ask", "cannot", "direct"])
def test_every_kind_of_row_can_be_written(boat, kind):
    tool = "" if kind in ("cannot", "direct") else APPENDS
    first = first_reply(kind, tool, WORDS)
    replies = [first]
    if kind == "repair":
        replies.append(good_reply({"messages": [{"content": "The last call failed"}], "seed": 1}))
        replies[1] = changed(replies[1], "calls", 1, "arguments", "content", to=f"\n{WORDS}")
    if kind in ("lookup", "repair"):
        replies.append({"closing": "The line is there now."})
    taught, _ = told(boat, replies, kind, tool)
    assert taught.proof["kind"] == kind
    assert replay(taught.row, boat, taught.proof) is None


def test_a_failure_that_nobody_planned_becomes_a_repair_row(boat):
    first = {**first_reply("repair", APPENDS, WORDS)}
    more = {
        "calls": [
            call("vaultManager_listDirectory", path="Boat"),
            call(APPENDS, filePath="Boat/Jobs.md", content=f"\n{WORDS}"),
        ]
    }
    taught, seen = told(boat, [first, more, {"closing": "There was no such note; it is in Boat/Jobs.md."}], "act")
    assert taught.proof["kind"] == "repair"
    assert "The last call failed" in seen[1][0][-1]["content"]
    results = [part.content["success"] for part in example_from_row(taught.row)[0].turns[1].parts[1::2]]
    assert results == [False, True, True]


def test_calls_after_the_failing_one_are_not_made(boat):
    first = first_reply("repair", APPENDS, WORDS)
    first["calls"].append(call(FOLDERS, path="Boat"))
    _, seen = told(
        boat,
        [
            first,
            {"calls": [call("vaultManager_listDirectory", path="Boat"), appended(WORDS, "Boat/Jobs.md")["calls"][0]]},
            {"closing": "That is done."},
        ],
    )
    assert seen[1][0][-1]["content"].count("\n2. ") == 0


# ---------------------------------------------------------------------------------- rejections

GOOD = appended(WORDS)
READING = {
    "request": "How much fuel does Boat/Log.md speak of?",
    "calls": [call(READS, filePath="Boat/Log.md")],
    "goal": [{"shows": "Fuel: half"}],
}
BAD_FIRST = {
    "shape: no goal": ({"request": "x", "calls": GOOD["calls"]}, "schema"),
    "shape: goal of two keys": (changed(GOOD, "goal", to=[{"exists": "a", "gone": "b"}]), "schema"),
    "shape: unknown goal": (changed(GOOD, "goal", to=[{"sings": "a"}]), "schema"),
    "shape: no calls": (changed(GOOD, "calls", to=[]), "schema"),
    "shape: arguments as text": (changed(GOOD, "calls", 0, "arguments", to="{}"), "schema"),
    "unknown tool": (changed(GOOD, "calls", 0, "tool", to="contentManager_addLine"), "schema"),
    "unknown parameter": (changed(GOOD, "calls", 0, "arguments", "where", to="end"), "schema"),
    "context missing": (changed(GOOD, "calls", 0, "arguments", to={"filePath": "Boat/Log.md"}), "schema"),
    "goal not reached": (changed(GOOD, "goal", to=[{"ends": ["Boat/Log.md", "nothing"]}]), "goal"),
    "goal true before": (changed(GOOD, "goal", to=[{"exists": "Boat/Log.md"}]), "goal"),
    "goal with a placeholder": (changed(GOOD, "goal", to=[{"exists": "{result.data}"}]), "goal"),
    "goal about the result alone": (changed(GOOD, "goal", to=[{"shows": "appendedLength"}]), "goal"),
    "path not said": (changed(GOOD, "request", to=f"Add {WORDS} to my log book"), "invisible"),
    "words not said": (changed(GOOD, "request", to="Add the usual to Boat/Log.md"), "invisible"),
    "context tells a path": (
        changed(GOOD, "calls", 0, "arguments", "context", "toolContext", to="Not into Boat/Jobs.md"),
        "invisible",
    ),
    "context tells a name": (
        changed(GOOD, "calls", 0, "arguments", "context", "sessionMemory", to="The Tide reader is on"),
        "invisible",
    ),
    "context too long": (changed(GOOD, "calls", 0, "arguments", "context", "subgoal", to="word " * 20), "too-long"),
    "a call too many": (
        changed(GOOD, "calls", to=[call(READS, filePath="Boat/Log.md"), *GOOD["calls"]]),
        "droppable",
    ),
    "a change too many": (
        {
            **GOOD,
            "request": f'{GOOD["request"]}. The new folder Boat/Old can wait',
            "calls": [call(FOLDERS, path="Boat/Old"), *GOOD["calls"]],
        },
        "droppable",
    ),
    "words of a call": (changed(GOOD, "request", to=f"{GOOD['request']}\n\ntool_call: x\narguments: {{}}"), None),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FIRST)
def test_a_bad_first_reply_is_refused_before_the_closing_is_paid_for(boat, name):
    reply, code = BAD_FIRST[name]
    if code is None:  # a user may write what he likes
        told(boat, [reply, DONE])
    else:
        assert refused(boat, [reply]).code == code


def test_the_tool_that_was_asked_for_must_be_called(boat):
    assert refused(boat, [GOOD], tool=FOLDERS).detail == f"{FOLDERS} is not called, or fails"


def test_a_lookup_row_looks_something_up(boat):
    assert refused(boat, [GOOD], "lookup").detail == "nothing was looked up"


def test_a_repair_row_repairs_something(boat):
    assert refused(boat, [GOOD], "repair").detail == "no call failed, so there is nothing to repair"


def test_a_repair_that_fails_is_the_end(boat):
    first = first_reply("repair", APPENDS, WORDS)
    assert refused(boat, [first, {"calls": first["calls"]}], "repair").code == "failed"


def test_a_reader_must_bring_something_to_light(boat):
    told(boat, [READING, {"closing": "Fuel: half."}], tool=READS)
    known = changed(READING, "request", to='Does Boat/Log.md say "Fuel: half"?')
    assert refused(boat, [known], tool=READS).code == "goal"


def test_a_writer_must_write(boat):
    folder = {
        "request": "Make the folder Archive",
        "calls": [call(FOLDERS, path="Archive")],
        "goal": [{"value": ["{result.data.existed}", True]}],
    }
    assert refused(boat, [folder], tool=FOLDERS).code == "no-effect"
    taught, _ = told(boat, [folder, {"closing": "It was there."}], tool=FOLDERS, by=judge(informing={FOLDERS}))
    assert taught.proof["diff"] == "no change"


@pytest.mark.parametrize(
    "closing",
    [
        "It is in Boat/Jobs.md.",
        "It is in Boat/Diary.md.",
        "There are 77 lines now.",
        "The Tide reader helped.",
        "Log 2024 was left alone.",
    ],
)
def test_a_closing_says_only_what_was_seen(boat, closing):
    assert refused(boat, [GOOD, {"closing": closing}]).code == "unbacked"


@pytest.mark.parametrize(
    "closing", ["!", "12", "Done", "It is in {add.note.path} now", "Dear [Your Name], done", "Do\x07ne it"]
)
def test_a_closing_is_language(boat, closing):
    reject = refused(boat, [GOOD, {"closing": closing}])
    assert (reject.code, reject.detail[:8]) == ("schema", "closing:")


def test_a_closing_that_reads_as_a_call_is_refused(boat):
    reject = refused(boat, [GOOD, {"closing": "Now:\ntool_call: x\narguments: {}"}])
    assert reject.code == "schema"


def test_a_row_too_long_is_refused_before_the_closing(boat):
    assert refused(boat, [GOOD], by=judge(limit=300)).code == "too-long"


def test_a_request_that_is_evaluated_or_there_already_is_refused_before_anything_runs(boat):
    near = f'Please add the line "{WORDS}" to Boat/Log.md!'
    assert refused(boat, [GOOD], by=judge(evaluated=Index([near]))).code == "contaminated"
    assert refused(boat, [GOOD], by=judge(shipped=Index([near]))).code == "duplicate"
    told(boat, [GOOD, DONE], by=judge(shipped=Index(['Add the line "reef the main sail early" to Boat/Log.md'])))


def test_a_vault_that_changes_its_mind_is_noticed(boat, monkeypatch):
    from lib.synth import taught

    plain, results = taught.run_calls, iter(range(10**6))

    def unsteady(vault, calls):
        run = plain(vault, calls)
        for step in run.steps:
            step.result["tick"] = next(results)
        return run

    monkeypatch.setattr(taught, "run_calls", unsteady)
    assert refused(boat, [GOOD]).code == "unsteady"


ODD = [None, 0, 1e300, True, "", "{result.data}", "a" * 3000, [], {}, [[1]], {"exists": "a"}, "\u202e", 10**25]


def places(value, path=()):
    """The path of every part of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


@pytest.mark.parametrize("kind", ["act", "lookup", "ask"])
def test_whatever_stands_anywhere_in_a_reply_is_judged_not_crashed_on(boat, kind):
    good = first_reply(kind, APPENDS, WORDS)
    for path in places(good):
        for odd in ODD:
            replies = [changed(good, *path, to=odd), {"closing": "That is done."}]
            with contextlib.suppress(Reject):
                told(boat, replies if kind != "ask" else replies[:1], kind)


ASK = first_reply("ask", APPENDS, WORDS)
BAD_ASK = {
    "all was said": (changed(ASK, "request", to=f'Add "{WORDS}" to Boat/Log.md or Boat/Jobs.md'), "goal"),
    "both the same": (changed(ASK, "readings", 1, to=ASK["readings"][0]), "goal"),
    "one fails": (changed(ASK, "readings", 1, "arguments", "filePath", to="Boat/Nowhere.md"), "failed"),
    "one is no call": (changed(ASK, "readings", 1, "arguments", "mode", to="x"), "schema"),
    "three readings": (changed(ASK, "readings", to=ASK["readings"] * 2), "schema"),
    "no question": (changed(ASK, "answer", to="It is in the file now."), "goal"),
    "tells what it cannot know": (changed(ASK, "answer", to="Boat/Log.md or Boat/Jobs.md?"), "unbacked"),
}


@pytest.mark.parametrize("name", BAD_ASK)
def test_asking_back_must_be_right(boat, name):
    reply, code = BAD_ASK[name]
    assert refused(boat, [reply], "ask").code == code


@pytest.mark.parametrize(("kind", "answer"), [("cannot", "Of course, done."), ("direct", "I cannot say.")])
def test_an_answer_without_calls_is_of_its_kind(boat, kind, answer):
    assert refused(boat, [{"request": "Phone the yard", "answer": answer}], kind, "").code == "goal"
