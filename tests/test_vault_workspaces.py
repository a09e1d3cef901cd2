"""The four workspace tools of memoryManager."""

import pytest

from tests.vault_memory_support import (
    BEDS,
    CRITIC,
    EDITOR,
    GARDEN,
    SEEDS,
    SPRING,
    STUDIO,
    SUMMER,
    UNKNOWN_WORKSPACE,
    make_memory_vault,
)
from tests.vault_support import WORKSPACE, call, refused, succeeds

FLOW = {"name": "Bake", "when": "on Fridays", "steps": "mix\nrest"}
FULL = {
    "name": "Kitchen",
    "rootFolder": "Home/Kitchen",
    "purpose": "Cook",
    "currentGoal": "Sourdough",
    "workflows": [FLOW],
}

# ------------------------------------------------------------ createWorkspace


def create(vault, **arguments):
    return succeeds(vault, "memoryManager_createWorkspace", **{**FULL, **arguments})["data"]


def test_a_new_workspace_is_stored_with_its_folder_and_is_not_current():
    vault = make_memory_vault()
    data = create(vault, description="Bread", preferences="Grams")
    assert data["workspace"] == {
        "id": data["workspaceId"],
        "name": "Kitchen",
        "description": "Bread",
        "rootFolder": "Home/Kitchen",
        "created": vault.now,
        "lastAccessed": vault.now,
        "isActive": True,
        "context": {
            "purpose": "Cook",
            "currentGoal": "Sourdough",
            "workflows": [FLOW],
            "keyFiles": [],
            "preferences": "Grams",
        },
        "sessions": {},
    }
    assert data["validationPrompt"]
    assert {"Home", "Home/Kitchen"} <= vault.folders
    assert vault.workspaces[data["workspaceId"]].name == "Kitchen"
    assert vault.current_workspace == GARDEN


def test_two_workspaces_may_share_a_name():
    vault = make_memory_vault()
    assert create(vault)["workspaceId"] != create(vault)["workspaceId"]


def test_key_files_are_the_given_ones_and_those_that_the_folder_shows_to_be_key():
    notes = {
        "Home/Kitchen/README.md": "r",
        "Home/Kitchen/moc.md": "m",
        "Home/Kitchen/Starter.md": "---\nkey: true\n---\nfeed",
        "Home/Kitchen/Other.md": "---\nkey: yes\n---\n",
        "Home/Kitchen/Deep/Index.md": "too deep",
        "Home/Kitchen/summary.txt": "no note",
    }
    data = create(make_memory_vault(notes=notes), keyFiles=["/Home/Flour.md", "Home/Kitchen/moc.md"])
    assert data["workspace"]["context"]["keyFiles"] == [
        "Home/Flour.md",
        "Home/Kitchen/moc.md",
        "Home/Kitchen/README.md",
        "Home/Kitchen/Starter.md",
    ]


def test_a_workspace_can_be_bound_to_an_agent():
    vault = make_memory_vault()
    made = create(vault, dedicatedAgentId=EDITOR)
    assert made["workspace"]["context"]["dedicatedAgent"] == {"agentId": EDITOR, "agentName": "Editor"}
    loaded = succeeds(vault, "memoryManager_loadWorkspace", id=made["workspaceId"])["data"]
    assert loaded["agent"] == {"id": EDITOR, "name": "Editor", "systemPrompt": "Cut every text by half."}


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"name": " "}, ["name"]),
        ({"rootFolder": " "}, ["rootFolder"]),
        ({"purpose": "\n"}, ["purpose"]),
        ({"currentGoal": " ", "purpose": " "}, ["purpose", "currentGoal"]),
        ({"workflows": [{**FLOW, "when": ""}]}, ["workflows"]),
    ],
)
def test_a_workspace_with_blank_fields_is_refused_with_hints(arguments, fields):
    result = refused(make_memory_vault(), "memoryManager_createWorkspace", **{**FULL, **arguments})
    assert result["error"] == f"Validation error - {', '.join(fields)}: must be given and not empty"
    assert [fault["field"] for fault in result["data"]["validationErrors"]] == fields


def test_a_workspace_without_any_workflow_is_refused():
    result = refused(make_memory_vault(), "memoryManager_createWorkspace", **{**FULL, "workflows": []})
    assert "workflows" in result["error"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"rootFolder": "Garden/Beds.md"}, "Root folder is a file: Garden/Beds.md"),
        ({"rootFolder": "Garden/Beds.md/In"}, "Parent path is not a folder: Garden/Beds.md"),
        ({"dedicatedAgentId": "prompt_x"}, 'Agent with ID "prompt_x" not found'),
    ],
)
def test_a_workspace_that_cannot_be_made_is_refused(arguments, error):
    assert refused(make_memory_vault(), "memoryManager_createWorkspace", **{**FULL, **arguments}) == {"error": error}


# ------------------------------------------------------------ listWorkspaces


def test_a_listed_workspace_shows_what_it_is_and_its_folder():
    data = succeeds(make_memory_vault(), "memoryManager_listWorkspaces", sortBy="name", order="asc", limit=1)["data"]
    assert data["workspaces"] == [
        {
            "id": GARDEN,
            "name": "Garden",
            "description": "The allotment",
            "rootFolder": "Garden",
            "lastAccessed": 1_750_000_100_000,
            "status": "active",
        }
    ]
    assert data["performance"]["workspaceCount"] == 1


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ({}, [STUDIO, GARDEN]),
        ({"order": "asc"}, [GARDEN, STUDIO]),
        ({"sortBy": "name"}, [STUDIO, GARDEN]),
        ({"sortBy": "name", "order": "asc"}, [GARDEN, STUDIO]),
        ({"sortBy": "created", "order": "asc"}, [GARDEN, STUDIO]),
        ({"limit": 1}, [STUDIO]),
    ],
)
def test_workspaces_are_listed_last_used_first_unless_told_otherwise(arguments, ids):
    data = succeeds(make_memory_vault(), "memoryManager_listWorkspaces", **arguments)["data"]
    assert [workspace["id"] for workspace in data["workspaces"]] == ids


def test_a_vault_without_workspaces_of_its_own_lists_the_default_one():
    data = succeeds(make_memory_vault(workspaces=[], sessions=[], states=[], traces=[]), "memoryManager_listWorkspaces")
    assert [workspace["name"] for workspace in data["data"]["workspaces"]] == ["Default Workspace"]


# ------------------------------------------------------------ loadWorkspace


def load(vault, wanted, **arguments):
    return succeeds(vault, "memoryManager_loadWorkspace", id=wanted, **arguments)


def test_loading_a_workspace_gives_its_briefing():
    result = load(make_memory_vault(), GARDEN)
    assert result["workspaceContext"] == {"workspaceId": GARDEN, "workspacePath": ["Garden"]}
    data = result["data"]
    assert data["context"] == {
        "name": "Garden",
        "description": "The allotment",
        "purpose": "Grow vegetables",
        "rootFolder": "Garden",
        "recentActivity": ["Bed plan read", "Beds walked"],
    }
    assert data["workflows"] == ["**Weekly walk** (on Sundays):\nlook\nnote"]
    assert data["workspaceStructure"] == ["Beds.md", "Index.md", "Old/Frost.md"]
    assert data["recentFiles"] == [
        {"path": "Garden/Beds.md", "modified": 1_760_000_005_000},
        {"path": "Garden/Index.md", "modified": 1_760_000_003_000},
        {"path": "Garden/Old/Frost.md", "modified": 1_760_000_001_000},
    ]
    assert data["keyFiles"] == {"Index": "Garden/Index.md"}
    assert data["preferences"] == "No preferences set"
    assert [session["id"] for session in data["sessions"]] == [SUMMER, SPRING]
    assert [state["id"] for state in data["states"]] == [SEEDS, BEDS]
    assert data["states"][1]["tags"] == ["beds", "draft"]
    assert "agent" not in data


def test_loading_a_workspace_makes_it_current_and_counts_as_access():
    vault = make_memory_vault()
    load(vault, STUDIO)
    assert vault.current_workspace == STUDIO
    assert vault.workspaces[STUDIO].last_accessed == vault.now
    assert call(vault, "memoryManager_listSessions")["data"]["workspaceId"] == STUDIO


def test_a_workspace_shows_its_preferences_and_its_agent():
    data = load(make_memory_vault(), STUDIO)["data"]
    assert data["preferences"] == "Metric only"
    assert data["agent"]["id"] == CRITIC


def test_limit_cuts_sessions_states_and_activity():
    data = load(make_memory_vault(), GARDEN, limit=1)["data"]
    assert (len(data["sessions"]), len(data["states"]), data["context"]["recentActivity"]) == (1, 1, ["Bed plan read"])


def test_the_recent_files_are_five_and_the_root_workspace_holds_every_file():
    vault = make_memory_vault(workspaces=[], sessions=[], states=[], traces=[], notes={f"{n}.md": "" for n in range(7)})
    data = load(vault, vault.current_workspace)["data"]
    assert len(data["workspaceStructure"]) == 7
    assert len(data["recentFiles"]) == 5


def test_key_files_of_one_name_are_told_apart_by_their_paths():
    vault = make_memory_vault()
    made = create(vault, keyFiles=["Home/A.md", "Home/Old/A.md", "Home/Plain"])["workspaceId"]
    assert load(vault, made)["data"]["keyFiles"] == {
        "A": "Home/A.md",
        "Home/Old/A.md": "Home/Old/A.md",
        "Plain": "Home/Plain",
    }


@pytest.mark.parametrize("wanted", [UNKNOWN_WORKSPACE, "Garden", ""])
def test_loading_by_anything_but_a_known_id_is_refused(wanted):
    result = refused(make_memory_vault(), "memoryManager_loadWorkspace", id=wanted)
    assert result["error"] == f"Workspace with ID '{wanted}' not found"
    assert result["data"]["context"] == {"name": "Unknown", "rootFolder": "", "recentActivity": [result["error"]]}
    assert result["data"]["sessions"] == []


# ------------------------------------------------------------ updateWorkspace


def update(vault, path, value, wanted=GARDEN):
    return succeeds(
        vault, "memoryManager_updateWorkspace", workspaceId=wanted, fieldPath=path, newValue=value
    )["data"]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("name", "Garden", "Allotment"),
        ("description", "The allotment", ""),
        ("context.currentGoal", "Plan the spring beds", "Sow"),
        ("context.workflows[0].steps", "look\nnote", "look\nweed"),
        ("context.keyFiles[0]", "Garden/Index.md", "Garden/Beds.md"),
        ("context.keyFiles", ["Garden/Index.md"], []),
    ],
)
def test_updating_a_field_reports_the_value_before_and_after(path, old, new):
    vault = make_memory_vault()
    data = update(vault, path, new)
    assert data["workspace"]["id"] == GARDEN
    del data["workspace"]
    assert data == {"workspaceId": GARDEN, "updated": True, "fieldPath": path, "oldValue": old, "newValue": new}
    again = update(vault, path, new)
    assert (again["updated"], again.get("oldValue", "")) == (False, new)


@pytest.mark.parametrize(
    ("path", "value", "stored"),
    [
        ("context.status", "paused", {"status": "paused"}),
        ("context.agents", [{"name": "a"}], {"agents": [{"name": "a"}]}),
        ("context.workflows[1]", {**FLOW, "steps": ["mix", "rest"]}, None),
        ("context.keyFiles[1]", "/Garden/Beds.md", {"keyFiles": ["Garden/Index.md", "Garden/Beds.md"]}),
    ],
)
def test_a_field_that_was_absent_is_made(path, value, stored):
    vault = make_memory_vault()
    data = update(vault, path, value)
    assert data["updated"] is True
    assert "oldValue" not in data
    context = vault.workspaces[GARDEN].context
    if stored is None:
        assert context["workflows"][1] == FLOW
    else:
        assert {key: context[key] for key in stored} == stored


def test_missing_parents_are_made_as_lists_and_objects():
    vault = make_memory_vault()
    update(vault, "projectPlan.phases[1].name", "Sow")
    assert vault.workspaces[GARDEN].extra == {"projectPlan": {"phases": [None, {"name": "Sow"}]}}


def test_a_new_root_folder_is_made_and_the_old_one_stays():
    vault = make_memory_vault()
    update(vault, "rootFolder", "/Plots/New")
    assert {"Plots", "Plots/New", "Garden"} <= vault.folders
    assert vault.workspaces[GARDEN].root_folder == "Plots/New"
    assert "Garden/Beds.md" in vault.notes


def test_the_contexts_own_workspace_id_can_be_updated_and_means_the_current_one():
    assert update(make_memory_vault(), "name", "Allotment", wanted=WORKSPACE)["workspaceId"] == GARDEN


def test_an_update_leaves_earlier_copies_of_the_vault_alone():
    vault = make_memory_vault()
    copy = vault.clone()
    update(vault, "context.workflows[0].when", "daily")
    assert copy.workspaces[GARDEN].context["workflows"][0]["when"] == "on Sundays"


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("status", "a", "Invalid field path: status - the first part must be one of name, description, rootFolder, "),
        ("id", "a", "Invalid field path: id - "),
        ("context.dedicatedAgent", {}, "Invalid field path: context.dedicatedAgent - below context it must be one of "),
        (
            "context.workflows[1000]",
            FLOW,
            "Invalid field path: context.workflows[1000] - list indices go from 0 to 999",
        ),
        ("context.keyFiles.first", "a", "Invalid field path: context.keyFiles.first - 'first' does not fit"),
        ("name[0]", "a", "Invalid field path: name[0] - '0' does not fit"),
        ("projectPlan" + ".a" * 100, 1, "Invalid field path: longer than 200 characters"),
        ("name", 3, "Invalid value for name: name must be a text"),
        ("name", " ", "Invalid value for name: name must be a text"),
        ("description", None, "Invalid value for description: description must be a text"),
        ("context", [], "Invalid value for context: context holds only purpose, "),
        ("context", {"mood": "a"}, "Invalid value for context: context holds only purpose, "),
        ("context.purpose", ["a"], "Invalid value for context.purpose: purpose must be a text"),
        ("context.workflows", "walk", "Invalid value for context.workflows: workflows must be a list"),
        (
            "context.workflows[0]",
            {"name": "a"},
            "Invalid value for context.workflows[0]: a workflow has name, when and ",
        ),
        ("context.workflows[3]", FLOW, "Invalid value for context.workflows[3]: a workflow has name, when and "),
        ("context.keyFiles", [1], "Invalid value for context.keyFiles: keyFiles must be a list of paths"),
        ("context.keyFiles", ["../x"], "Invalid path '../"),
        ("rootFolder", "../out", "Invalid path '../"),
        ("rootFolder", "Garden/Beds.md", "Root folder is a file: Garden/Beds.md"),
    ],
)
def test_an_update_that_does_not_fit_is_refused(path, value, error):
    result = refused(
        make_memory_vault(), "memoryManager_updateWorkspace", workspaceId=GARDEN, fieldPath=path, newValue=value
    )
    assert result["error"].startswith(error)
    assert result["data"] == {"workspaceId": GARDEN, "updated": False, "fieldPath": path, "newValue": value}


def test_binding_another_agent_through_the_whole_context_is_refused():
    value = {"dedicatedAgent": {"agentId": EDITOR, "agentName": "Editor"}}
    result = refused(
        make_memory_vault(), "memoryManager_updateWorkspace", workspaceId=STUDIO, fieldPath="context", newValue=value
    )
    assert result["error"] == "Invalid value for context: the dedicated agent cannot be set here"


def test_a_value_nested_too_deep_is_refused():
    value = 1
    for _ in range(60):
        value = [value]
    result = refused(
        make_memory_vault(),
        "memoryManager_updateWorkspace",
        workspaceId=GARDEN,
        fieldPath="checkpoints",
        newValue=value,
    )
    assert result["error"] == "Invalid value for checkpoints: more than 50 levels deep"


def test_updating_an_unknown_workspace_is_refused():
    result = refused(
        make_memory_vault(), "memoryManager_updateWorkspace", workspaceId="Garden", fieldPath="name", newValue="A"
    )
    assert result["error"] == "Workspace with ID Garden not found"


@pytest.mark.parametrize("path", ["", "a b", "name..x", "[0]", "__proto__", "context.workflows[-1]"])
def test_a_field_path_that_is_no_path_is_refused_by_the_schema(path):
    result = refused(
        make_memory_vault(), "memoryManager_updateWorkspace", workspaceId=GARDEN, fieldPath=path, newValue="A"
    )
    assert "fieldPath" in result["error"]
