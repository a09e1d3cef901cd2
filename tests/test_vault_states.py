"""The four state tools of memoryManager."""

import pytest

from tests.vault_memory_support import (
    BEDS,
    CLAY,
    GARDEN,
    KILN,
    SEEDS,
    SPRING,
    STUDIO,
    SUMMER,
    UNKNOWN_SESSION,
    UNKNOWN_WORKSPACE,
    kinds,
    make_memory_vault,
)
from tests.vault_support import SESSION, refused, succeeds

FULL = {
    "name": "Paths laid",
    "conversationContext": "Paths between the beds",
    "activeTask": "Lay the paths",
    "activeFiles": ["/Garden/Beds.md", "Garden/Paths.md"],
    "nextSteps": ["Buy gravel"],
    "reasoning": "Rain is coming",
    "tags": ["paths"],
}

# ------------------------------------------------------------ createState


def test_a_saved_state_holds_the_work_in_hand_and_reports_it():
    vault = make_memory_vault()
    result = succeeds(vault, "memoryManager_createState", **FULL)
    data = result["data"]
    assert kinds(result["recommendations"]) == ["workspace_update"]
    assert data == {
        "stateId": data["stateId"],
        "name": "Paths laid",
        "workspaceId": GARDEN,
        "sessionId": SUMMER,
        "timestamp": vault.now,
        "created": vault.now,
        "summary": 'Saved "Paths laid": Lay the paths - Rain is coming',
        "metadata": {
            "persistenceVerified": True,
            "workspaceName": "Garden",
            "totalActiveFiles": 2,
            "nextStepsCount": 1,
        },
        "capturedContext": {
            "summary": "Lay the paths - Rain is coming",
            "conversationContext": "Paths between the beds",
            "activeFiles": ["Garden/Beds.md", "Garden/Paths.md"],
            "nextSteps": ["Buy gravel"],
        },
        "performance": {"totalDuration": 0, "persistenceVerified": True},
    }
    stored = vault.states[data["stateId"]]
    assert (stored.session_id, stored.tags, stored.reasoning) == (SUMMER, ("paths",), "Rain is coming")


@pytest.mark.parametrize(("target", "session"), [(SPRING, SPRING), (SESSION, SUMMER)])
def test_a_state_can_be_filed_under_another_session(target, session):
    data = succeeds(make_memory_vault(), "memoryManager_createState", **FULL, targetSessionId=target)["data"]
    assert data["sessionId"] == session


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", " "), ("conversationContext", "\t"), ("activeTask", " "), ("reasoning", "\n"), ("name", "")],
)
def test_a_state_with_a_blank_field_is_refused_with_a_hint(field, value):
    result = refused(make_memory_vault(), "memoryManager_createState", **{**FULL, field: value})
    assert result["error"] == f"Validation failed: {field} - each must be given and not empty"
    assert [fault["field"] for fault in result["data"]["validationErrors"]] == [field]
    assert result["data"]["expectedParams"] == [
        "name",
        "conversationContext",
        "activeTask",
        "activeFiles",
        "nextSteps",
        "reasoning",
    ]


@pytest.mark.parametrize(
    "field", ["name", "conversationContext", "activeTask", "activeFiles", "nextSteps", "reasoning"]
)
def test_a_state_without_one_of_its_six_fields_is_refused(field):
    arguments = {key: value for key, value in FULL.items() if key != field}
    assert refused(make_memory_vault(), "memoryManager_createState", **arguments)["error"] == f"{field} is missing."


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"targetSessionId": UNKNOWN_SESSION}, f"Session {UNKNOWN_SESSION} not found in workspace {GARDEN}"),
        ({"targetSessionId": CLAY}, f"Session {CLAY} not found in workspace {GARDEN}"),
        ({"workspaceContext": {"workspaceId": UNKNOWN_WORKSPACE}}, f"Workspace not found: {UNKNOWN_WORKSPACE}"),
    ],
)
def test_a_state_for_an_unknown_session_or_workspace_is_refused(arguments, error):
    assert refused(make_memory_vault(), "memoryManager_createState", **FULL, **arguments) == {"error": error}


def test_a_state_whose_files_leave_the_vault_is_refused():
    arguments = {**FULL, "activeFiles": ["../secret.md"]}
    assert "activeFiles[0]" in refused(make_memory_vault(), "memoryManager_createState", **arguments)["error"]


# ------------------------------------------------------------ listStates


def listed(vault, **arguments):
    return succeeds(vault, "memoryManager_listStates", **arguments)["data"]


def test_a_listed_state_shows_its_snapshot():
    data = listed(make_memory_vault(), order="asc", limit=1)
    assert data == {
        "states": [
            {
                "id": BEDS,
                "name": "Beds drawn",
                "created": 1_750_000_000_004,
                "snapshot": {
                    "sessionId": SUMMER,
                    "description": "Draw the beds - Stopping for today",
                    "conversationContext": "Beans go north",
                    "activeTask": "Draw the beds",
                    "activeFiles": ["Garden/Beds.md"],
                    "nextSteps": ["Order seeds"],
                    "reasoning": "Stopping for today",
                },
                "workspaceName": "Garden",
            }
        ],
        "total": 2,
        "filtered": 1,
        "workspaceId": GARDEN,
        "filters": {"sessionId": SUMMER, "order": "asc", "limit": 1},
    }


def test_include_context_adds_files_tags_and_summary():
    [state] = listed(make_memory_vault(), includeContext=True, tags=["beds"])["states"]
    assert state["context"] == {
        "files": ["Garden/Beds.md"],
        "traceCount": 0,
        "tags": ["beds", "draft"],
        "summary": "Draw the beds - Stopping for today",
    }


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ({}, [SEEDS, BEDS]),
        ({"order": "asc"}, [BEDS, SEEDS]),
        ({"limit": 1}, [SEEDS]),
        ({"tags": ["draft", "nothing"]}, [BEDS]),
        ({"tags": ["nothing"]}, []),
        ({"tags": []}, [SEEDS, BEDS]),
        ({"targetSessionId": SPRING}, [SEEDS, BEDS]),
        ({"targetSessionId": SESSION}, [SEEDS, BEDS]),
        ({"sessionId": UNKNOWN_SESSION}, [SEEDS, BEDS]),
        ({"targetSessionId": CLAY, "workspaceContext": {"workspaceId": STUDIO}}, []),
    ],
)
def test_states_are_those_of_the_current_session_newest_first(arguments, ids):
    assert [state["id"] for state in listed(make_memory_vault(), **arguments)["states"]] == ids


def test_the_total_counts_before_filters_and_limit():
    data = listed(make_memory_vault(), tags=["beds"])
    assert (data["total"], data["filtered"]) == (2, 1)


# ------------------------------------------------------------ loadState


def test_loading_a_state_gives_the_work_back_and_goes_on_in_its_session():
    vault = make_memory_vault()
    notes = dict(vault.notes)
    data = succeeds(vault, "memoryManager_loadState", stateId=BEDS, restorationGoal="Finish")["data"]
    assert data == {
        "stateId": BEDS,
        "name": "Beds drawn",
        "workspaceId": GARDEN,
        "sessionId": SUMMER,
        "created": 1_750_000_000_004,
        "newSessionId": SUMMER,
        "restoredContext": {
            "summary": "Draw the beds - Stopping for today",
            "associatedNotes": ["Garden/Beds.md"],
            "stateCreatedAt": "2025-06-15T15:06:40.004Z",
            "originalSessionId": SUMMER,
            "conversationContext": "Beans go north",
            "activeTask": "Draw the beds",
            "activeFiles": ["Garden/Beds.md"],
            "nextSteps": ["Order seeds"],
            "reasoning": "Stopping for today",
            "restorationGoal": "Finish",
        },
    }
    assert vault.notes == notes


@pytest.mark.parametrize(
    ("arguments", "name"), [({}, 'Restored from "Beds drawn"'), ({"sessionName": "Second go"}, "Second go")]
)
def test_loading_a_state_can_open_a_session_of_its_own(arguments, name):
    vault = make_memory_vault()
    made = succeeds(vault, "memoryManager_loadState", stateId=BEDS, continueExistingSession=False, **arguments)
    session = vault.sessions[made["data"]["newSessionId"]]
    assert (session.name, session.workspace_id) == (name, GARDEN)
    assert made["data"]["sessionId"] == SUMMER


def test_loading_a_state_leaves_a_trace_in_the_session_that_goes_on():
    vault = make_memory_vault()
    before = set(vault.traces)
    succeeds(vault, "memoryManager_loadState", stateId=BEDS)
    written = [vault.traces[key] for key in vault.traces.keys() - before]
    assert {(trace.type, trace.session_id) for trace in written} == {
        ("state_restoration", SUMMER),
        ("tool_call", SUMMER),
    }


def test_a_state_of_another_session_can_be_loaded():
    data = succeeds(make_memory_vault(), "memoryManager_loadState", stateId=KILN)["data"]
    assert (data["workspaceId"], data["sessionId"]) == (STUDIO, CLAY)


def test_a_loaded_state_shows_twenty_files_at_most():
    vault = make_memory_vault()
    files = [f"Garden/{number}.md" for number in range(25)]
    made = succeeds(vault, "memoryManager_createState", **{**FULL, "activeFiles": files})["data"]["stateId"]
    restored = succeeds(vault, "memoryManager_loadState", stateId=made)["data"]["restoredContext"]
    assert restored["activeFiles"] == files[:20]


@pytest.mark.parametrize("wanted", ["state_1750000000000_nothing00", "Beds drawn"])
def test_loading_an_unknown_state_is_refused(wanted):
    result = refused(make_memory_vault(), "memoryManager_loadState", stateId=wanted)
    assert result == {"error": f"State not found: {wanted}"}


# ------------------------------------------------------------ updateState


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ({"name": "Beds inked"}, {"name": "Beds inked"}),
        ({"description": "In ink"}, {"description": "In ink"}),
        ({"addTags": ["final", "beds"]}, {"tags": ["beds", "draft", "final"]}),
        ({"removeTags": ["draft"]}, {"tags": ["beds"]}),
        ({"addTags": ["a"], "removeTags": ["a", "beds"]}, {"tags": ["draft"]}),
    ],
)
def test_updating_a_state_changes_it_in_place(arguments, changed):
    vault = make_memory_vault()
    data = succeeds(vault, "memoryManager_updateState", stateId=BEDS, **arguments)["data"]
    assert data == {
        "stateId": BEDS,
        "name": "Beds drawn",
        "description": "Draw the beds - Stopping for today",
        "timestamp": vault.now,
        "workspaceId": GARDEN,
        "tags": ["beds", "draft"],
        **changed,
    }
    stored = vault.states[BEDS]
    assert (stored.name, stored.description, list(stored.tags)) == (data["name"], data["description"], data["tags"])
    assert stored.active_task == "Draw the beds"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"stateId": "state_x", "name": "A"}, "State not found: state_x"),
        ({"stateId": BEDS}, "No updates provided for state"),
        ({"stateId": BEDS, "addTags": [], "removeTags": []}, "No updates provided for state"),
    ],
)
def test_a_state_update_that_cannot_be_done_is_refused(arguments, error):
    assert refused(make_memory_vault(), "memoryManager_updateState", **arguments) == {"error": error}
