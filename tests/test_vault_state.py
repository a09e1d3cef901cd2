"""Vaults from fixtures: what is filled in, what is refused, ids, the clock, clones."""

import json
import re
from datetime import UTC, datetime

import pytest

from lib.errors import CannotRun
from lib.vault.compare import digest
from lib.vault.execute import execute
from lib.vault.state import CLOCK_STEP, Vault
from tests.vault_support import CONTEXT, call, make_vault

FULL = {
    "now": "2025-11-03T09:00:00Z",
    "seed": 7,
    "notes": {
        "A/Plan.md": "text",
        "B.md": {"text": "b", "created": 1000, "modified": 2000},
        "p.png": {"base64": "AAE="},
    },
    "folders": ["Empty/Deep"],
    "workspaces": [
        {
            "name": "Book",
            "description": "A novel",
            "rootFolder": "A",
            "purpose": "Write",
            "currentGoal": "Draft",
            "workflows": [{"name": "Write", "when": "daily", "steps": ["open", "type"]}],
            "preferences": "Short",
            "keyFiles": ["A/Plan.md"],
        },
        {"name": "Home"},
    ],
    "sessions": [
        {"workspace": "Book", "name": "Chapter 1", "description": "d", "goal": "g", "current": True},
        {"workspace": "Home", "name": "Tax"},
    ],
    "states": [{"session": "Chapter 1", "name": "Half", "activeTask": "Draft", "reasoning": "pause", "tags": ["x"]}],
    "traces": [{"content": "read a note", "params": {"path": "B.md"}}],
    "agents": [{"name": "Editor", "description": "d", "prompt": "p", "isEnabled": False}],
    "commands": [{"id": "graph:open", "name": "Open graph"}],
    "models": [{"provider": "p", "model": "m", "name": "M", "contextWindow": 8000, "maxOutput": 1000}],
}


def test_a_fixture_fills_the_vault():
    vault = Vault.from_dict(FULL)
    assert vault.now == datetime(2025, 11, 3, 9, tzinfo=UTC).timestamp() * 1000
    assert vault.folders == {"A", "Empty", "Empty/Deep"}
    assert vault.notes["B.md"].created == 1000
    assert vault.notes["p.png"].size == 2
    book = vault.workspaces[vault.current_workspace]
    assert (book.name, book.context["workflows"][0]["steps"]) == ("Book", "open\ntype")
    assert vault.sessions[vault.current_session].name == "Chapter 1"
    [state] = vault.states.values()
    assert (state.session_id, state.description) == (vault.current_session, "Draft - pause")
    [agent] = vault.agents.values()
    assert agent.is_enabled is False
    assert [command.id for command in vault.commands] == ["graph:open"]


def test_an_empty_fixture_gives_a_workspace_a_session_commands_and_models():
    vault = Vault.from_dict({})
    assert list(vault.workspaces) == [vault.current_workspace]
    assert vault.sessions[vault.current_session].workspace_id == vault.current_workspace
    assert vault.commands and vault.models


def test_a_vault_survives_to_dict_and_json():
    vault = Vault.from_dict(FULL)
    call(vault, "vaultManager_openNote", path="B.md")
    again = Vault.from_dict(json.loads(json.dumps(vault.to_dict())))
    assert again == vault
    assert digest(again) == digest(vault)


def test_the_last_session_of_the_current_workspace_is_current_when_none_is_marked():
    vault = Vault.from_dict({"sessions": [{"name": "a"}, {"name": "b"}]})
    assert vault.sessions[vault.current_session].name == "b"


def test_the_workspace_of_the_marked_session_is_current():
    sessions = [{"name": "a", "workspace": "Y", "current": True}]
    vault = Vault.from_dict({"workspaces": [{"name": "X"}, {"name": "Y"}], "sessions": sessions})
    assert vault.workspaces[vault.current_workspace].name == "Y"


@pytest.mark.parametrize(
    ("fixture", "words"),
    [
        ({"nots": {}}, "unknown key 'nots'"),
        ({"notes": []}, "notes: a list where a dict is expected"),
        ({"notes": {"../x.md": ""}}, "notes: Invalid path"),
        ({"notes": {"x.md": 3}}, "notes: x.md"),
        ({"notes": {"x.md": {"txt": ""}}}, "unknown key 'txt'"),
        ({"notes": {"x.md": {"base64": "?"}}}, "base64 is not valid"),
        ({"notes": {"x": "", "x/y": ""}}, "Parent path is not a folder: x"),
        ({"notes": {"x.md": "\ud800"}}, "cannot be written as JSON"),
        ({"folders": ["/../x"]}, "folders: Invalid path"),
        ({"now": "yesterday"}, "now: 'yesterday' is no time"),
        ({"seed": "x"}, "seed: a str where a int is expected"),
        ({"seed": True}, "seed: a bool where a int is expected"),
        ({"workspaces": [{}]}, "workspaces[0]: 'name' is missing"),
        ({"workspaces": [{"name": "a", "id": "ws"}, {"name": "b", "id": "ws"}]}, "used twice"),
        ({"workspaces": [{"name": "a", "workflows": [{"nam": ""}]}]}, "unknown key 'nam'"),
        ({"sessions": [{"name": "a", "workspace": "Nope"}]}, "0 entries are called 'Nope'"),
        ({"sessions": [{"name": "a"}, {"name": "a"}], "states": [{"name": "s", "session": "a"}]}, "2 entries are"),
        ({"states": [{"name": "a", "tags": "x"}]}, "states[0]: tags: a str where a list is expected"),
        ({"agents": ["Editor"]}, "agents[0]: a str where a dict is expected"),
        ({"agents": [{"name": "a", "description": "", "prompt": "", "isEnabled": "no"}]}, "isEnabled: a str"),
        ({"window": {"open": ["x.md"]}}, "each entry is [path, mode]"),
    ],
)
def test_a_faulty_fixture_is_refused_with_its_place(fixture, words):
    with pytest.raises(CannotRun) as refusal:
        Vault.from_dict(fixture)
    assert words in refusal.value.message


def test_a_timestamp_without_zone_is_utc_and_yaml_dates_are_read():
    text, yaml = Vault.from_dict({"now": "2025-11-03T09:00:00"}), Vault.from_dict({"now": datetime(2025, 11, 3, 9)})
    assert text.now == yaml.now == Vault.from_dict({"now": "2025-11-03T09:00:00Z"}).now


def test_ids_have_the_stored_form_and_depend_on_the_seed():
    one, two = make_vault(seed=1), make_vault(seed=2)
    ids = [one.new_id("session") for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(re.fullmatch(r"session_\d{13}_[0-9a-z]{9}", new) for new in ids)
    assert two.new_id("session") not in ids


def test_every_run_call_advances_the_clock_by_one_step_and_a_faulty_one_does_not():
    vault = make_vault()
    start = vault.now
    call(vault, "contentManager_readContent", filePath="Inbox.md")
    call(vault, "contentManager_readContent", filePath="Nope.md")
    call(vault, "contentManager_readContent", filePath=3)
    assert vault.now == start + 2 * CLOCK_STEP


def test_a_clone_shares_nothing_that_changes():
    vault = Vault.from_dict(FULL)
    before = json.dumps(vault.to_dict())
    other = vault.clone()
    call(other, "contentManager_appendContent", filePath="B.md", content="x")
    call(other, "vaultManager_deleteFolder", path="A", recursive=True)
    call(other, "vaultManager_openNote", path="B.md")
    other.workspaces.clear(), other.sessions.clear(), other.states.clear(), other.agents.clear()
    assert json.dumps(vault.to_dict()) == before
    assert vault.clone() == vault


def test_neither_the_fixture_nor_the_arguments_nor_the_result_lead_into_the_vault():
    fixture = json.loads(json.dumps(FULL))
    vault = Vault.from_dict(fixture)
    before = digest(vault)
    fixture["workspaces"][0]["workflows"][0]["name"] = "changed"
    fixture["workspaces"][0]["keyFiles"].append("changed")
    vault.to_dict()["workspaces"][0]["context"]["keyFiles"].append("changed")
    assert digest(vault) == before
    arguments = {"context": dict(CONTEXT), "path": ""}
    result = execute(vault, "vaultManager_listDirectory", arguments)
    after = digest(vault)
    arguments["context"]["sessionMemory"] = "changed"
    result["data"]["files"].clear()
    assert digest(vault) == after
    assert list(arguments) == ["context", "path"]
