"""The four session tools of memoryManager."""

import json

import pytest

from tests.vault_memory_support import (
    CLAY,
    GARDEN,
    SPRING,
    STUDIO,
    SUMMER,
    UNKNOWN_SESSION,
    UNKNOWN_WORKSPACE,
    make_memory_vault,
)
from tests.vault_support import SESSION, WORKSPACE, make_vault, refused, succeeds

NEW_ID = "session_1762160400000_mine00000"

# ------------------------------------------------------------ createSession


def create(vault, **arguments):
    return succeeds(vault, "memoryManager_createSession", **arguments)["data"]


def test_creating_a_session_stores_it_in_the_current_workspace():
    vault = make_memory_vault()
    data = create(vault, name="Autumn", description="Harvest", sessionGoal="Fill the cellar")
    assert data == {
        "sessionId": data["sessionId"],
        "name": "Autumn",
        "description": "Harvest",
        "workspaceId": GARDEN,
        "sessionContext": {
            "summary": 'Session "Autumn" started in workspace "Garden". Harvest. Goal: Fill the cellar.',
            "associatedNotes": [],
            "sessionCreatedAt": "2025-11-03T09:00:01.000Z",
        },
    }
    stored = vault.sessions[data["sessionId"]]
    assert (stored.name, stored.goal, stored.workspace_id) == ("Autumn", "Fill the cellar", GARDEN)


def test_creating_a_session_leaves_the_current_one_current():
    vault = make_memory_vault()
    create(vault)
    assert vault.current_session == SUMMER


def test_a_session_without_a_name_is_named_by_the_clock():
    assert create(make_memory_vault())["name"] == "Session 2025-11-03 09:00:01"


def test_a_new_session_id_can_be_chosen():
    vault = make_memory_vault()
    assert create(vault, newSessionId=NEW_ID)["sessionId"] == NEW_ID
    assert NEW_ID in vault.sessions


@pytest.mark.parametrize(("wanted", "kinds"), [({}, ["session_creation"]), ({"generateContextTrace": False}, [])])
def test_a_new_session_begins_with_a_trace_unless_told_otherwise(wanted, kinds):
    vault = make_memory_vault()
    made = create(vault, **wanted)["sessionId"]
    assert [trace.type for trace in vault.traces.values() if trace.session_id == made] == kinds


@pytest.mark.parametrize(
    ("depth", "summary"),
    [
        ("minimal", 'Session "A" started in workspace "Garden".'),
        ("standard", 'Session "A" started in workspace "Garden". Goal: G. Follows "Spring".'),
        (
            "comprehensive",
            'Session "A" started in workspace "Garden". Goal: G. Follows "Spring". Workspace purpose: Grow vegetables. '
            "Workspace goal: Plan the spring beds. Other sessions in it: 2.",
        ),
    ],
)
def test_context_depth_decides_how_much_the_summary_says(depth, summary):
    data = create(make_memory_vault(), name="A", sessionGoal="G", previousSessionId=SPRING, contextDepth=depth)
    assert data["sessionContext"]["summary"] == summary


@pytest.mark.parametrize("given", [{"workspaceId": STUDIO}, json.dumps({"workspaceId": STUDIO})])
def test_workspace_context_names_another_workspace_as_object_or_text(given):
    assert create(make_memory_vault(), workspaceContext=given)["workspaceId"] == STUDIO


def test_the_contexts_own_workspace_id_means_the_current_workspace():
    assert create(make_memory_vault(), workspaceContext={"workspaceId": WORKSPACE})["workspaceId"] == GARDEN


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"workspaceContext": {"workspaceId": UNKNOWN_WORKSPACE}}, f"Workspace not found: {UNKNOWN_WORKSPACE}"),
        ({"workspaceContext": "{"}, "workspaceContext must be an object, or that object as JSON text"),
        ({"workspaceContext": "[]"}, "workspaceContext must be an object, or that object as JSON text"),
        ({"previousSessionId": UNKNOWN_SESSION}, f"Session not found: {UNKNOWN_SESSION}"),
        ({"newSessionId": "mine"}, "Invalid session ID: mine"),
        ({"newSessionId": CLAY}, f"Session already exists: {CLAY}"),
    ],
)
def test_a_session_that_cannot_be_made_is_refused(arguments, error):
    assert refused(make_memory_vault(), "memoryManager_createSession", **arguments) == {"error": error}


# ------------------------------------------------------------ listSessions


def listed(vault, **arguments):
    return succeeds(vault, "memoryManager_listSessions", **arguments)["data"]


def test_sessions_are_listed_with_their_traces_and_states_counted():
    data = listed(make_memory_vault(), limit=1)
    assert data == {
        "sessions": [
            {
                "id": SUMMER,
                "name": "Summer",
                "description": "Watering",
                "startTime": 1_750_000_000_002,
                "isActive": True,
                "memoryTraces": 2,
                "states": 2,
                "workspaceId": GARDEN,
                "workspaceName": "Garden",
            }
        ],
        "total": 2,
        "filtered": 1,
        "workspaceId": GARDEN,
        "filters": {"order": "desc", "limit": 1},
    }


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, ["Summer", "Spring"]),
        ({"order": "asc"}, ["Spring", "Summer"]),
        ({"order": "asc", "limit": 1}, ["Spring"]),
        ({"limit": 0}, ["Summer", "Spring"]),
        ({"workspaceContext": {"workspaceId": STUDIO}}, ["Clay"]),
        ({"workspaceContext": {"workspaceId": UNKNOWN_WORKSPACE}}, []),
    ],
)
def test_sessions_are_sorted_by_name_and_cut_to_the_limit(arguments, names):
    assert [session["name"] for session in listed(make_memory_vault(), **arguments)["sessions"]] == names


def test_an_ended_session_shows_its_end():
    data = listed(make_memory_vault(), workspaceContext={"workspaceId": STUDIO})
    assert data["sessions"][0]["endTime"] == 1_750_000_900_000


# ------------------------------------------------------------ loadSession


def load(vault, **arguments):
    return succeeds(vault, "memoryManager_loadSession", **arguments)["data"]


def test_loading_a_session_shows_its_memory():
    data = load(make_memory_vault(), targetSessionId=SUMMER, createContinuationSession=False)
    assert {key: data[key] for key in ("sessionId", "name", "workspaceId", "startTime", "isActive")} == {
        "sessionId": SUMMER,
        "name": "Summer",
        "workspaceId": GARDEN,
        "startTime": 1_750_000_000_002,
        "isActive": True,
    }
    shown = data["sessionContext"]
    assert shown["summary"] == ('Session "Summer" with 2 memory traces and 2 saved states. Watering. Goal: Less waste.')
    assert shown["associatedNotes"] == ["Garden/Beds.md", "Garden/Index.md"]
    assert [trace["content"] for trace in shown["traces"]] == [
        "Walked the beds",
        "contentManager_readContent: Read the bed plan",
    ]
    assert data["restoredContext"]["originalSessionId"] == SUMMER
    assert "newSessionId" not in data


def test_loading_a_session_opens_a_continuation_by_default():
    vault = make_memory_vault()
    made = load(vault, targetSessionId=SPRING)["newSessionId"]
    assert vault.sessions[made].name == 'Continuation of "Spring"'
    assert vault.sessions[made].workspace_id == GARDEN
    assert [trace.type for trace in vault.traces.values() if trace.session_id == made] == ["session_continuation"]
    assert vault.current_session == SUMMER


def test_the_continuation_takes_the_given_name_and_description():
    vault = make_memory_vault()
    made = load(vault, targetSessionId=SPRING, sessionName="Again", sessionDescription="Second try")["newSessionId"]
    assert (vault.sessions[made].name, vault.sessions[made].description) == ("Again", "Second try")


def test_a_loaded_session_shows_ten_traces_at_most():
    vault = make_vault()
    for _ in range(12):
        succeeds(vault, "memoryManager_listSessions")
    data = load(vault, sessionId=SESSION)
    assert len(data["sessionContext"]["traces"]) == 10
    assert "12 memory traces" in data["sessionContext"]["summary"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"sessionId": SPRING}, "Spring"),
        ({"sessionId": SPRING, "targetSessionId": SUMMER}, "Summer"),
        ({"sessionId": SESSION}, "Summer"),
    ],
)
def test_target_session_id_wins_and_the_contexts_own_id_means_the_current_session(arguments, name):
    assert load(make_memory_vault(), **arguments)["name"] == name


@pytest.mark.parametrize("wanted", [UNKNOWN_SESSION, CLAY, "Spring"])
def test_loading_a_session_that_is_not_in_the_workspace_is_refused(wanted):
    error = {"error": f"Session not found: {wanted}"}
    assert refused(make_memory_vault(), "memoryManager_loadSession", targetSessionId=wanted) == error


def test_loading_without_any_id_is_refused():
    error = refused(make_memory_vault(), "memoryManager_loadSession")["error"]
    assert "sessionId, targetSessionId" in error


# ------------------------------------------------------------ updateSession


def test_updating_a_session_overwrites_only_what_is_given():
    vault = make_memory_vault()
    result = succeeds(vault, "memoryManager_updateSession", targetSessionId=SPRING, name="March")
    assert result["data"] == {"sessionId": SPRING, "name": "March", "description": "Bed plan", "workspaceId": GARDEN}
    assert vault.sessions[SPRING].name == "March"


def test_updating_without_an_id_means_the_current_session():
    vault = make_memory_vault()
    succeeds(vault, "memoryManager_updateSession", sessionGoal="No waste", description="Drip lines")
    assert (vault.sessions[SUMMER].goal, vault.sessions[SUMMER].description) == ("No waste", "Drip lines")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"targetSessionId": UNKNOWN_SESSION, "name": "A"}, f"Session not found: {UNKNOWN_SESSION}"),
        ({"targetSessionId": CLAY, "name": "A"}, f"Session not found: {CLAY}"),
        ({"targetSessionId": SPRING}, "No updates provided for session"),
        ({"targetSessionId": SPRING, "isActive": False, "addTags": ["a"]}, "No updates provided for session"),
    ],
)
def test_a_session_update_that_cannot_be_done_is_refused(arguments, error):
    assert refused(make_memory_vault(), "memoryManager_updateSession", **arguments) == {"error": error}
