"""Grading by the end state: any way to a gold end passes, and nothing else."""

from dataclasses import replace

import pytest

from evaluator.checkers import MadeCall, judge
from evaluator.mutants import Answer, judge_answer
from lib.vault import execute
from tests.state_support import (
    APPEND,
    CONTEXT,
    CREATE,
    DELETE,
    FIND_REPLACE,
    HELPER,
    LIST,
    LOAD,
    MOVE,
    OPEN,
    READ,
    REPLACE,
    SESSION,
    SWAP,
    SWAPPED,
    TOGGLE,
    TOOLSET,
    VAULT,
    case,
    do,
)


def verdict(wanted, *calls, reply="Done."):
    return judge_answer(wanted, Answer("", calls, reply), TOOLSET)


def codes(wanted, *calls, reply="Done."):
    return sorted({finding.code for finding in verdict(wanted, *calls, reply=reply).findings})


NEW = do(APPEND, filePath="Ideas.md", content="\n- second")
ADDED = case(NEW)


def test_another_tool_that_does_the_same_passes():
    other = do(FIND_REPLACE, filePath="Inbox/Plan.md", findText="two", replaceText="three")
    assert verdict(SWAPPED, other).passed and not verdict(SWAPPED, other).right_tool
    assert verdict(SWAPPED, SWAP).right_tool


def test_another_end_fails_and_is_named():
    (finding,) = verdict(SWAPPED, do(REPLACE, filePath="Inbox/Plan.md", oldContent="two", newContent="four")).findings
    assert (finding.code, finding.message) == ("wrong-state", "notes: Inbox/Plan.md differs")


def test_a_last_call_that_failed_is_named_beside_the_state_it_did_not_reach():
    missed = do(REPLACE, filePath="Inbox/Plan.md", oldContent="twoo", newContent="three")
    found = verdict(SWAPPED, missed).findings
    assert [finding.code for finding in found] == ["wrong-state", "call-failed"]
    assert "Content to replace not found" in found[1].message
    assert codes(SWAPPED, missed, do(READ, filePath="Inbox/Plan.md")) == ["wrong-state"]


def test_reads_failed_calls_and_detours_are_free():
    failed = do(REPLACE, filePath="Inbox/Plan.md", oldContent="twoo", newContent="three")
    malformed = do(READ, filePath=7)
    away, back = (
        do(MOVE, path="Ideas.md", newPath="Notes.md"),
        do(MOVE, path="Notes.md", newPath="Ideas.md"),
    )
    assert verdict(SWAPPED, do(LIST, path=""), failed, SWAP, do(READ, filePath="Inbox/Plan.md")).passed
    found = verdict(SWAPPED, malformed, SWAP)
    assert found.passed and not found.valid_call
    assert codes(SWAPPED, SWAP, away, back) == ["destroyed"]  # for a while the note was not there


def test_what_was_destroyed_and_put_back_is_found():
    gone = do(DELETE, path="Inbox/Old.md"), do(CREATE, filePath="Inbox/Old.md", content="old")
    (finding,) = verdict(SWAPPED, SWAP, *gone).findings
    assert finding.code == "destroyed" and "Inbox/Old.md" in finding.message and finding.path == "calls[1]"


@pytest.mark.parametrize(
    "content, passes",
    [("\n- second", True), ("\n\n-  SECOND\n", True), ("- second", False), ("\n- second.", False), ("\nsecond", False)],
)
def test_text_may_differ_in_case_and_blanks_but_not_in_lines(content, passes):
    assert verdict(ADDED, do(APPEND, filePath="Ideas.md", content=content)).passed is passes


def test_any_of_the_alternatives_will_do_and_the_shortest_counts():
    drop = do(DELETE, path="Inbox/Old.md")
    either = case(SWAP, do(MOVE, path="Ideas.md", newPath="A.md"), alternatives=[[drop]])
    assert verdict(either, drop).passed and verdict(either, drop).right_tool and either.minimum == 1
    assert codes(either, SWAP, drop) == ["wrong-state"]


def test_nothing_to_do_allows_looking_and_forbids_changing():
    nothing = case(goal={"reply": [["nothing"]]})
    assert verdict(nothing, do(LIST, path="Inbox"), reply="There is nothing to do.").passed
    assert codes(nothing, NEW, reply="There is nothing to do.") == ["wrong-state"]
    assert codes(nothing, reply="") == ["empty-reply", "reply-lacks"]
    assert codes(nothing, reply="<think>There is nothing to do.</think>") == ["empty-reply", "reply-lacks"]


def test_own_words_are_free_where_the_case_says_so_but_must_hold_what_it_names():
    note = case(do(CREATE, filePath="Sum.md", content="Total 12"), goal={"free": {"Sum.md": ["12"]}})
    assert verdict(note, do(CREATE, filePath="Sum.md", content="All in all: 12 euros")).passed
    assert codes(note, do(CREATE, filePath="Sum.md", content="All in all: 120")) == ["own-words"]
    assert codes(note, do(CREATE, filePath="Sums.md", content="12")) == ["wrong-state"]
    session = case(
        do(SESSION, name="Tyres", description="Counting tyres"), goal={"free": {"sessions.description": ["tyres"]}}
    )
    assert verdict(session, do(SESSION, name="Tyres", description="All tyres in the shed")).passed
    assert codes(session, do(SESSION, name="Tyres", description="Bells")) == ["own-words"]
    assert codes(session, do(SESSION, name="Tubes", description="Counting tyres")) == ["wrong-state"]


def test_free_words_of_one_record_do_not_free_the_others():
    both = {
        **VAULT,
        "agents": [*VAULT["agents"], {"id": HELPER[:-1] + "b", "name": "B", "description": "x", "prompt": "p"}],
    }
    update = "agentManager_updateAgent"
    wanted = case(do(update, id=HELPER, prompt="Say yes"), goal={"free": {"agents.prompt": ["yes"]}})
    wanted = replace(wanted, vault=both, question=f"{HELPER}, {HELPER[:-1]}b")
    assert verdict(wanted, do(update, id=HELPER, prompt="Always answer yes")).passed
    assert codes(wanted, do(update, id=HELPER, prompt="yes"), do(update, id=HELPER[:-1] + "b", prompt="no")) == [
        "wrong-state"
    ]


def test_open_notes_and_the_current_workspace_count_only_where_the_plan_changes_them():
    opened = case(do(OPEN, path="Ideas.md", mode="split"))
    assert verdict(opened, do(OPEN, path="Ideas.md", mode="split")).passed
    assert codes(opened, do(OPEN, path="Ideas.md", mode="window")) == ["wrong-state"]
    assert codes(opened) == ["wrong-state"]
    assert verdict(SWAPPED, SWAP, do(OPEN, path="Ideas.md")).passed
    loaded = replace(case(do(LOAD, id="ws_1740000000000_bbbbbbbbb")), question="Load ws_1740000000000_bbbbbbbbb.")
    assert codes(loaded) == ["wrong-state"] and verdict(loaded, do(LOAD, id="ws_1740000000000_bbbbbbbbb")).passed


def test_answers_must_be_read_from_the_vault_and_told():
    asked = case(do(READ, filePath="Inbox/Plan.md"), goal={"answers": ["two"]})
    read = do(READ, filePath="Inbox/Plan.md")
    assert verdict(asked, read, reply="Line two says: two.").passed
    assert codes(asked, reply="two") == ["not-looked-up"]
    assert codes(asked, read, reply="Three.") == ["reply-lacks"]
    assert codes(asked, do(READ, filePath="Two.md"), reply="two") == ["not-looked-up"]


@pytest.mark.parametrize(
    "reply, says", [("It is 45.", True), ("It is 145.", False), ("45 or so", True), ("4.5", False)]
)
def test_a_number_is_not_found_inside_another(reply, says):
    assert verdict(case(goal={"reply": ["45"]}), reply=reply).passed is says


def test_looking_must_be_about_the_matter_and_with_a_call_that_can_be_run():
    bait = case(do(READ, filePath="Easter.md"), goal={"looks": ["Easter"], "reply": [["no note"]]})
    told = "There is no note of that name."
    assert verdict(bait, do(READ, filePath="Easter.md"), reply=told).passed
    assert codes(bait, reply=told) == ["not-looked-up"]
    assert codes(bait, do(READ, filePath="Plan.md"), reply=told) == ["not-looked-up"]
    assert codes(bait, do(READ, filePath="Easter.md", pages=3), reply=told) == ["not-looked-up"]


def test_found_means_before_anything_is_changed():
    careful = case(SWAP, goal={"found": ["one"]})
    look = do(READ, filePath="Inbox/Plan.md")
    assert verdict(careful, look, SWAP).passed
    assert codes(careful, SWAP) == codes(careful, SWAP, look) == ["not-looked-up"]


def test_a_batch_of_reads_is_a_look_and_one_that_writes_is_a_change():
    def batch(*operations):
        return do(
            "contentManager_batchContent", operations=[{"type": kind, "params": told} for kind, told in operations]
        )

    read, swap = (
        ("read", {"filePath": "Inbox/Plan.md"}),
        ("replace", {"filePath": "Inbox/Plan.md", "oldContent": "two", "newContent": "three"}),
    )
    careful = case(SWAP, goal={"found": ["one"]})
    assert verdict(careful, batch(read), SWAP).passed
    assert codes(careful, batch(swap, read)) == ["not-looked-up"]


def test_an_id_that_nothing_told_is_made_up_even_when_it_is_right():
    on = do(TOGGLE, id=HELPER)
    agents = do("agentManager_listAgents")
    wanted = case(agents, on)
    assert verdict(wanted, agents, on).passed
    assert codes(wanted, on) == codes(wanted, on, agents) == ["unseen-id"]
    assert verdict(replace(wanted, question=f"Switch on {HELPER}."), on).passed
    own = {"context": {**CONTEXT, "workspaceId": "ws_1740000000000_bbbbbbbbb"}, "id": "ws_1740000000000_bbbbbbbbb"}
    assert verdict(case((LOAD, {"id": own["id"]})), (LOAD, own)).passed


@pytest.mark.parametrize(
    "call",
    [do(SESSION, name="Tyres"), do("commandManager_executeCommand", commandId="graph:open")],
    ids=["session", "command"],
)
def test_the_same_thing_twice_is_not_the_same_as_once(call):
    once = case(call, goal={"free": {"sessions.description": []}})
    assert verdict(once, call).passed and codes(once, call, call) == ["wrong-state"]


def test_arguments_nested_beyond_reason_are_judged_like_others():
    deep = "x"
    for _ in range(10_000):
        deep = [deep]
    update = "memoryManager_updateWorkspace", {"context": CONTEXT, "workspaceId": HELPER, "newValue": deep}
    update[1]["fieldPath"] = "description"
    wanted = case(goal={"looks": ["Easter"], "found": ["one"], "reply": ["no"]})
    vault = wanted.fresh_vault()
    made = MadeCall(*update, execute(vault, *update))
    found = judge(wanted, [made], "no", vault, TOOLSET)
    assert {finding.code for finding in found.findings} == {"not-looked-up"}


ASKING = {"asks": ["which", "what"]}


@pytest.mark.parametrize(
    "reply, code",
    [
        ("Which note do you mean?", None),
        ("Tell me which note you mean.", None),
        ("Anything else?", "no-question"),
        ("I deleted the note.", "no-question"),
        ("Let me know if you need more.", "no-question"),
        ("I deleted the note. What else can I do for you?", "no-question"),
        ("As soon as I know which note it is, I delete it.", None),
        ("<think>Which note does he mean?</think>I deleted it.", "no-question"),
        ("He may mean two. Which?</think>I deleted it.", "no-question"),
        ("<think>Two notes. I must ask.</think>Which note do you mean?", None),
    ],
)
def test_asking_back_is_a_question_about_the_matter(reply, code):
    assert codes(case(goal=ASKING), reply=reply) == ([code] if code else [])


@pytest.mark.parametrize(
    "goal, reply, said",
    [
        ("refuses", "I can't send mail from here.", True),
        ("refuses", "I can’t do that.", True),
        ("refuses", "There is no tool for printing.", True),
        ("refuses", "I'm not able to ring your phone.", True),
        ("refuses", "I can only read what the vault holds.", True),
        ("refuses", "I could not find a tool for that.", True),
        ("refuses", "I could not find invoice 32.", False),
        ("refuses", "Your phone will ring at six.", False),
        ("refuses", "Sent!", False),
        ("denies", "There is no note at Easter.md.", True),
        ("denies", "I couldn’t find that file.", True),
        ("denies", "You have two workspaces, but none of that name.", True),
        ("denies", "No agent called Deed summariser is there.", True),
        ("denies", "It is not among your agents.", True),
        ("denies", "The workspace is loaded; it has no open tasks.", False),
        ("denies", "Easter.md is there, and it is in the same place.", False),
        ("denies", "No problem, here you are.", False),
    ],
)
def test_refusing_and_denying_are_said_in_many_ways(goal, reply, said):
    assert verdict(case(goal={goal: True}), reply=reply).passed is said


@pytest.mark.parametrize(
    "reply, says", [("It is off.", True), ("It offers cues.", False), ("Three PDFs", False), ("No PDFs, none", True)]
)
def test_a_word_is_not_found_inside_another_but_in_the_plural(reply, says):
    assert verdict(case(goal={"reply": [["off", "no pdf"]]}), reply=reply).passed is says


def test_what_must_not_be_said_or_called_is_found():
    wanted = case(goal={"unsaid": ["220"], "never": [LIST]})
    assert codes(wanted, reply="It is 220.") == ["reply-claims"]
    assert codes(wanted, do(LIST, path="")) == ["forbidden-call"]


def test_an_endless_answer_fails_only_where_something_else_is_missing():
    talk = judge(SWAPPED, [], "and so on", SWAPPED.fresh_vault(), TOOLSET, cut_off=True)
    assert [finding.code for finding in talk.findings] == ["cut-off", "wrong-state"]
