"""The agentManager tools that keep agents and list models."""

import pytest

from tests.vault_memory_support import CRITIC, EDITOR, kinds, make_memory_vault
from tests.vault_support import refused, succeeds

NEW = {"name": " Scribe ", "description": "Takes notes", "prompt": "Write it down.\n"}
SCRIBE = {"name": "Scribe", "description": "Takes notes", "prompt": "Write it down.", "isEnabled": True}
EDITOR_SHOWN = {
    "id": EDITOR,
    "name": "Editor",
    "description": "Shortens",
    "prompt": "Cut every text by half.",
    "isEnabled": True,
}
TAKEN = 'A prompt with the name "Editor" already exists'


def refusal(tool, **arguments):
    """The error text of a refused call, whose data must be null."""
    result = refused(make_memory_vault(), f"agentManager_{tool}", **arguments)
    assert set(result) == {"data", "error"} and result["data"] is None
    return result["error"]


# ------------------------------------------------------------ createAgent


def test_a_new_agent_is_stored_with_trimmed_texts():
    vault = make_memory_vault()
    result = succeeds(vault, "agentManager_createAgent", **NEW)
    made = result["data"].pop("id")
    assert result["data"] == SCRIBE
    assert made.startswith("prompt_1762160401000_")
    assert kinds(result["recommendations"]) == ["agent_usage"]
    assert vault.agents[made].prompt == "Write it down."


def test_a_new_agent_can_begin_switched_off():
    assert (
        succeeds(make_memory_vault(), "agentManager_createAgent", **NEW, isEnabled=False)["data"]["isEnabled"] is False
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": " "}, "Name is required"),
        ({"description": "\t"}, "Description is required"),
        ({"prompt": "\n"}, "Prompt is required"),
        ({"name": "Editor"}, f"Failed to create agent: Error: {TAKEN}"),
        ({"name": " Editor "}, f"Failed to create agent: Error: {TAKEN}"),
    ],
)
def test_an_agent_that_cannot_be_made_is_refused(arguments, error):
    assert refusal("createAgent", **{**NEW, **arguments}) == error


# ------------------------------------------------------------ updateAgent


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ({"name": " Cutter "}, {"name": "Cutter"}),
        ({"name": "Editor", "description": "Trims"}, {"description": "Trims"}),
        ({"prompt": "Cut."}, {"prompt": "Cut."}),
        ({"isEnabled": False}, {"isEnabled": False}),
    ],
)
def test_updating_an_agent_overwrites_only_what_is_given(arguments, changed):
    vault = make_memory_vault()
    result = succeeds(vault, "agentManager_updateAgent", id=EDITOR, **arguments)
    assert result["data"] == {**EDITOR_SHOWN, **changed}
    assert kinds(result["recommendations"]) == ["agent_update"]
    assert succeeds(vault, "agentManager_getAgent", id=EDITOR)["data"]["name"] == result["data"]["name"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"id": EDITOR}, "At least one field must be provided for update"),
        ({"id": EDITOR, "name": " "}, "Name cannot be empty"),
        ({"id": EDITOR, "description": " "}, "Description cannot be empty"),
        ({"id": EDITOR, "prompt": " "}, "Prompt cannot be empty"),
        ({"id": "prompt_x", "name": "A"}, 'Prompt with ID "prompt_x" not found'),
        ({"id": "Editor", "name": "A"}, 'Prompt with ID "Editor" not found'),
        ({"id": CRITIC, "name": "Editor"}, TAKEN),
    ],
)
def test_an_agent_update_that_cannot_be_done_is_refused(arguments, error):
    assert refusal("updateAgent", **arguments) == error


# ------------------------------------------------------------ toggleAgent, deleteAgent


def test_toggling_flips_an_agent_and_flips_it_back():
    vault = make_memory_vault()
    assert succeeds(vault, "agentManager_toggleAgent", id=EDITOR) == {"data": {**EDITOR_SHOWN, "isEnabled": False}}
    assert succeeds(vault, "agentManager_toggleAgent", id=EDITOR) == {"data": EDITOR_SHOWN}


def test_a_deleted_agent_is_gone():
    vault = make_memory_vault()
    assert succeeds(vault, "agentManager_deleteAgent", id=EDITOR) == {"data": {"deleted": True, "id": EDITOR}}
    assert list(vault.agents) == [CRITIC]


@pytest.mark.parametrize("tool", ["toggleAgent", "deleteAgent"])
@pytest.mark.parametrize("wanted", ["prompt_x", "Editor"])
def test_agents_are_toggled_and_deleted_by_id_only(tool, wanted):
    assert refusal(tool, id=wanted) == f'Prompt with ID "{wanted}" not found'


# ------------------------------------------------------------ getAgent, listAgents


@pytest.mark.parametrize(
    "arguments", [{"id": EDITOR}, {"id": "Editor"}, {"name": "Editor"}, {"id": "", "name": "Editor"}]
)
def test_an_agent_is_found_by_id_or_name(arguments):
    result = succeeds(make_memory_vault(), "agentManager_getAgent", **arguments)
    assert result["data"].pop("message")
    assert result["data"] == EDITOR_SHOWN
    assert kinds(result["recommendations"]) == ["agent_usage"]


def test_a_disabled_agent_is_found_too():
    assert succeeds(make_memory_vault(), "agentManager_getAgent", name="Critic")["data"]["isEnabled"] is False


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"id": "prompt_x"}, 'Agent with ID "prompt_x" not found'),
        ({"id": "prompt_x", "name": "Editor"}, 'Agent with ID "prompt_x" not found'),
        ({"name": "editor"}, 'Agent with name "editor" not found'),
        ({"id": "", "name": ""}, "Either id or name must be provided"),
    ],
)
def test_an_agent_that_is_not_there_is_refused(arguments, error):
    assert refusal("getAgent", **arguments) == error


def test_asking_for_an_agent_without_id_and_name_is_refused():
    assert "id, name" in refused(make_memory_vault(), "agentManager_getAgent")["error"]


@pytest.mark.parametrize(("arguments", "ids"), [({}, [EDITOR, CRITIC]), ({"enabledOnly": True}, [EDITOR])])
def test_agents_are_listed_without_their_prompts_and_counted_in_full(arguments, ids):
    result = succeeds(make_memory_vault(), "agentManager_listAgents", **arguments)
    data = result["data"]
    assert [agent["id"] for agent in data["prompts"]] == ids
    assert set(data["prompts"][0]) == {"id", "name", "description", "isEnabled"}
    assert (data["totalCount"], data["enabledCount"]) == (2, 1)
    assert data["message"] == f"{len(ids)} of 2 agents listed, 1 enabled."
    assert kinds(result["recommendations"]) == ["agent_usage"]


# ------------------------------------------------------------ listModels


def test_models_are_listed_with_what_they_can_do_and_cost():
    models = [
        {"provider": "local", "model": "m", "name": "M", "contextWindow": 1000, "maxOutput": 100},
        {
            "provider": "openai",
            "model": "n",
            "name": "N",
            "contextWindow": 3000,
            "maxOutput": 200,
            "inputPrice": 1.5,
            "outputPrice": 6.0,
            "supports": ["images", "thinking"],
            "isDefault": True,
        },
    ]
    data = succeeds(make_memory_vault(models=models), "agentManager_listModels")["data"]
    assert data["defaultModel"] == {"provider": "openai", "model": "n"}
    assert data["models"][1] == {
        "provider": "openai",
        "model": "n",
        "displayName": "N",
        "isDefault": True,
        "capabilities": {
            "contextWindow": 3000,
            "maxOutputTokens": 200,
            "supportsJSON": False,
            "supportsImages": True,
            "supportsFunctions": False,
            "supportsStreaming": False,
            "supportsThinking": True,
        },
        "pricing": {"inputPerMillion": 1.5, "outputPerMillion": 6.0, "currency": "USD", "lastUpdated": "2025-11-01"},
    }
    assert data["statistics"] == {
        "totalModels": 2,
        "providerCount": 2,
        "averageContextWindow": 2000,
        "maxContextWindow": 3000,
        "minCostPerMillion": 0.0,
        "maxCostPerMillion": 6.0,
    }
    assert [(provider["id"], provider["name"], provider["modelCount"]) for provider in data["availableProviders"]] == [
        ("local", "local", 1),
        ("openai", "OpenAI", 1),
    ]


def test_a_vault_without_models_lists_none():
    data = succeeds(make_memory_vault(models=[]), "agentManager_listModels")["data"]
    assert (data["models"], data["availableProviders"]) == ([], [])
    assert data["defaultModel"] == {"provider": "", "model": ""}
    assert data["statistics"]["totalModels"] == data["statistics"]["averageContextWindow"] == 0
