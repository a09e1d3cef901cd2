"""lib.synth.tasks and lib.synth.prompts: what a teacher is asked for, and in which words and schemas."""

import pytest

from lib.synth.prompts import GOAL_FORMS, call_schema, first_messages, reply_schema
from lib.synth.rows import Worlds
from lib.synth.tasks import make_tasks, related_tools
from lib.synth.taught import informing_tools
from lib.toolset import load_toolset
from tests.synth_support import material
from tests.teacher_support import APPENDS, CONTEXT, FOLDERS, appended

READS, TOGGLES = "contentManager_readContent", "agentManager_toggleAgent"


@pytest.fixture
def boat(tmp_path):
    """The boat world."""
    return Worlds(material(tmp_path), 4)


def test_the_prompt_shows_the_vault_and_the_tools(boat):
    toolset = load_toolset()
    [task] = make_tasks(boat, toolset, [APPENDS], 1, 0)
    rules, prompt = first_messages(task, toolset)
    assert (rules["role"], prompt["role"]) == ("system", "user")
    shown = prompt["content"]
    for text in ("=== Boat/Log 2024.md", "Fuel: half", "Archive", "Tide reader", "01 June 2025", '"filePath"'):
        assert text in shown
    for name in (task.tool, *task.related):
        assert f"\n{name}: {toolset.tools[name].description}\n" in shown
    assert shown.count('"workspaceContext"') == 1, "what all tools have alike is shown once"
    assert '"context"' not in shown.partition("Tools, with")[2].partition("Write one example")[0]


def test_every_schema_that_is_asked_for_compiles_and_takes_a_good_reply(boat):
    import jsonschema_rs

    toolset = load_toolset()
    strict = jsonschema_rs.validator_for(reply_schema("calls", call_schema(toolset, (APPENDS, READS))))
    assert strict.is_valid(appended("new oars"))
    other = appended("new oars")
    other["calls"][0]["tool"] = FOLDERS
    assert not strict.is_valid(other)
    other = appended("new oars")
    other["calls"][0]["arguments"] = {**other["calls"][0]["arguments"], "context": {**CONTEXT, "sessionId": "mine"}}
    assert not strict.is_valid(other)
    for name in toolset.tools:
        for shape in ("calls", "ask", "repair"):
            jsonschema_rs.validator_for(reply_schema(shape, call_schema(toolset, (name,))))


def test_goals_of_the_prompt_are_those_of_the_simulator():
    from lib.synth.material import GOALS

    assert set(GOAL_FORMS) == set(GOALS)


def test_tasks_depend_on_their_number_and_the_seed_alone(boat):
    toolset = load_toolset()
    many = make_tasks(boat, toolset, list(toolset.tools), 60, 3)
    assert make_tasks(boat, toolset, list(reversed(toolset.tools)), 20, 3) == many[:20]
    assert make_tasks(boat, toolset, list(toolset.tools), 20, 4) != many[:20]
    assert len({task.seed for task in many}) == 60
    assert {task.tool for task in many if task.tool} | {""} <= set(toolset.tools) | {""}
    assert len({task.tool for task in many[:47]}) > 40, "the tools take turns"


def test_kinds_that_need_something_to_ask_for_go_to_tools_that_take_something(boat):
    toolset = load_toolset()
    for made in make_tasks(boat, toolset, ["agentManager_listAgents", APPENDS], 60, 0):
        assert made.tool in (APPENDS, "") or made.kind == "act"


def test_related_tools_are_those_planned_together(boat):
    assert related_tools(TOGGLES, boat.material, load_toolset()) == ("agentManager_listAgents",)


def test_tools_that_only_inform_are_read_off_the_intents(boat):
    assert informing_tools(boat.material) == {READS}
