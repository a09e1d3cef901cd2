"""get_tools: the toolset looked up by the model."""

from dataclasses import replace

import pytest

from lib.toolset import load_toolset
from lib.vault.execute import execute
from tests.vault_support import CONTEXT, body, make_vault, refused, succeeds


def test_an_empty_list_gives_the_agents_and_their_modes():
    result = succeeds(make_vault(), "get_tools", tools=[])
    assert set(result) == {"overview", "instruction"}
    modes = {agent: entry["modes"] for agent, entry in result["overview"].items()}
    assert sum(len(names) for names in modes.values()) == 46
    assert "createContent" in modes["contentManager"]
    assert all(entry["description"] for entry in result["overview"].values())


def test_names_give_the_schemas_of_those_tools_without_what_the_host_fills_in():
    result = succeeds(make_vault(), "get_tools", tools=["contentManager_createContent"])
    [tool] = result["tools"]
    assert (result["toolCount"], result["requestedTools"]) == (1, ["contentManager_createContent"])
    assert tool["name"] == "contentManager_createContent"
    assert tool["description"] == load_toolset().tools["contentManager_createContent"].description
    assert set(tool["inputSchema"]["properties"]) == {"filePath", "content"}
    assert sorted(tool["inputSchema"]["required"]) == ["content", "filePath"]


@pytest.mark.parametrize("name", sorted(load_toolset().tools.keys() - {"get_tools"}))
def test_no_schema_shown_speaks_of_hidden_parameters(name):
    [tool] = succeeds(make_vault(), "get_tools", tools=[name])["tools"]
    schema = tool["inputSchema"]
    hidden = {"context", "workspaceContext", "sessionId"}
    assert not hidden & (set(schema["properties"]) | set(schema["required"]))
    assert not hidden & {part for option in schema.get("anyOf", ()) for part in option["required"]}
    assert {"description", "inputSchema", "name"} == set(tool)


def test_unknown_and_repeated_names_are_skipped():
    wanted = ["vaultManager_openNote", "vaultManager_fly", "vaultManager_openNote", "get_tools"]
    result = succeeds(make_vault(), "get_tools", tools=wanted)
    assert [tool["name"] for tool in result["tools"]] == ["vaultManager_openNote"]
    assert (result["toolCount"], result["requestedTools"]) == (1, wanted)


def test_names_of_which_none_exists_are_refused():
    result = refused(make_vault(), "get_tools", tools=["createNote", "fly"])
    assert result == {"error": "No valid tools found for the requested names: createNote, fly"}


@pytest.mark.parametrize("arguments", [{"tools": "vaultManager_openNote"}, {"managers": ["vaultManager"]}, {}])
def test_anything_but_a_list_of_names_is_refused(arguments):
    assert "tools" in refused(make_vault(), "get_tools", **arguments)["error"]


def test_the_toolset_in_force_is_the_one_looked_up():
    known = load_toolset()
    names = ("get_tools", "vaultManager_openNote")
    small = replace(known, tools={name: known.tools[name] for name in names})
    result = body(execute(make_vault(), "get_tools", {"context": CONTEXT, "tools": []}, small))
    assert result["overview"]["vaultManager"]["modes"] == ["openNote"]
    assert list(result["overview"]) == ["vaultManager"]
