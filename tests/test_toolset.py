"""configs/tools.json holds what it should, and a fault in it is an error at load that names tool and place."""

import json
import re

import pytest

from lib.errors import CannotRun
from lib.toolset import DEFAULT_TOOLS, in_schema_order, load_toolset
from tests.rows import CONTEXT

TOOLSET = load_toolset()


def test_there_are_47_tools_of_seven_agents():
    counts = {agent: len(names) for agent, names in TOOLSET.agents.items()}
    assert counts == {
        "meta": 1,
        "vaultManager": 9,
        "agentManager": 10,
        "vaultLibrarian": 4,
        "contentManager": 9,
        "commandManager": 2,
        "memoryManager": 12,
    }


def test_names_are_agent_and_mode():
    for tool in TOOLSET.tools.values():
        assert tool.name == (tool.mode if tool.agent == "meta" else f"{tool.agent}_{tool.mode}")


def objects(schema, place=""):
    """Every object schema with named properties, and where it is."""
    if isinstance(schema, dict):
        if "properties" in schema and "if" not in place.split("."):
            yield place, schema
        for key, part in schema.items():
            yield from objects(part, f"{place}.{key}")
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part, place)


def test_no_object_takes_parameters_that_it_does_not_name():
    seen = 0
    for tool in TOOLSET.tools.values():
        for place, schema in objects(tool.parameters):
            seen += 1
            # Operation parameters are closed once the operation's type is known.
            if schema.get("type") == "object" and not place.endswith("operations.items.properties.params"):
                assert schema.get("additionalProperties") is False, (tool.name, place)
    assert seen > 100


def test_every_parameter_and_tool_is_described():
    described = 0
    for tool in TOOLSET.tools.values():
        assert tool.description.endswith(".")
        for place, schema in objects(tool.parameters):
            for name, part in schema["properties"].items():
                if ".then" in place and name in ("params", "provider"):
                    continue
                assert part["description"].endswith("."), (tool.name, place, name)
                described += 1
    assert described > 800


def test_parameters_hold_no_references_and_context_comes_first():
    for tool in TOOLSET.tools.values():
        assert "$ref" not in json.dumps(tool.parameters)
        assert next(iter(tool.parameters["properties"])) == "context"
        assert tool.parameters["required"][0] == "context"
    assert TOOLSET.context_fields == tuple(CONTEXT)


def test_context_is_written_once_in_the_file():
    text = DEFAULT_TOOLS.read_text(encoding="utf-8")
    assert text.count('"sessionMemory"') == 2  # its schema and the list of required fields
    assert max(map(len, text.splitlines())) < 260


def test_every_parameter_named_like_a_path_is_checked_as_one():
    path_like = re.compile(r"(^|\.)(path|newPath|sourcePath|targetPath|filePath|savePath|rootFolder)$")
    found = 0
    for tool in TOOLSET.tools.values():
        for place, schema in objects(tool.parameters):
            for name, part in schema["properties"].items():
                if path_like.search(name):
                    found += 1
                    assert part["format"] == "vault-path", (tool.name, place, name)
    assert found > 30


def test_tools_that_delete_are_marked_destructive_and_those_that_look_are_marked_read():
    for tool in TOOLSET.tools.values():
        if tool.mode.startswith("delete") or "overwrite" in tool.parameters["properties"]:
            assert tool.effect == "destructive", tool.name
        if tool.mode.startswith(("list", "search", "read", "get")):
            assert tool.effect == "read", tool.name


def test_openai_tools_hold_name_description_and_parameters():
    tools = TOOLSET.openai_tools()
    assert len(tools) == 47
    assert tools[1] == {
        "type": "function",
        "function": {
            "name": "vaultManager_deleteFolder",
            "description": TOOLSET.tools["vaultManager_deleteFolder"].description,
            "parameters": TOOLSET.tools["vaultManager_deleteFolder"].parameters,
        },
    }


def toolset_file(tmp_path, change):
    data = {
        "$defs": {"context": {"type": "object"}},
        "tools": [
            {
                "name": "notes_read",
                "agent": "notes",
                "mode": "read",
                "description": "Read.",
                "effect": "read",
                "parameters": {"type": "object", "properties": {"path": {"type": "string", "format": "vault-path"}}},
            }
        ],
    }
    change(data)
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(data))
    return path


FILE_FAULTS = {
    "a type that is none": (
        lambda d: d["tools"][0]["parameters"]["properties"]["path"].update(type="strnig"),
        "notes_read: parameters.properties.path.type",
    ),
    "a pattern that is none": (
        lambda d: d["tools"][0]["parameters"]["properties"]["path"].update(pattern="("),
        "notes_read: parameters.properties.path.pattern",
    ),
    "a reference that leads nowhere": (
        lambda d: d["tools"][0]["parameters"]["properties"].update(context={"$ref": "#/$defs/contxt"}),
        r"notes_read: parameters: the reference #/\$defs/contxt leads nowhere",
    ),
    "a definition that holds itself": (
        lambda d: (
            d["$defs"].update(context={"$ref": "#/$defs/context"}),
            d["tools"][0]["parameters"]["properties"].update(context={"$ref": "#/$defs/context"}),
        ),
        "notes_read: parameters: a reference leads back to itself",
    ),
    "no name": (lambda d: d["tools"][0].pop("name"), r"tools\[0\]: it has no name"),
    "no description": (lambda d: d["tools"][0].update(description=""), "notes_read: description is missing"),
    "an effect that is none": (lambda d: d["tools"][0].update(effect="delete"), "notes_read: effect is 'delete'"),
    "a name twice": (lambda d: d["tools"].append(d["tools"][0]), "notes_read: the name is used twice"),
    "no parameters": (lambda d: d["tools"][0].pop("parameters"), "notes_read: parameters must be"),
    "no tools": (lambda d: d.update(tools=[]), 'there is no list "tools"'),
}


@pytest.mark.parametrize("case", FILE_FAULTS)
def test_a_schema_fault_is_an_error_at_load_naming_tool_and_place(tmp_path, case):
    change, words = FILE_FAULTS[case]
    with pytest.raises(CannotRun, match=words) as caught:
        load_toolset(toolset_file(tmp_path, change))
    assert "tools.json: " in caught.value.message


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(CannotRun, match=r"none\.json: No such file"):
        load_toolset(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(CannotRun, match=r"broken\.json: not JSON"):
        load_toolset(tmp_path / "broken.json")


def test_a_toolset_without_context_asks_for_none(tmp_path):
    toolset = load_toolset(toolset_file(tmp_path, lambda d: None))
    assert toolset.check("notes_read", {"path": "a.md"}) == []
    assert toolset.check("notes_read", {}) == []
    assert [f.code for f in toolset.check("notes_read", {"path": "../a"})] == ["path-escape"]


def test_arguments_are_put_in_the_order_of_a_grammar_made_from_the_schema():
    schema = {
        "properties": {
            "context": {"properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
            "depth": {},
            "path": {},
            "items": {"items": {"properties": {"x": {}, "y": {}}, "required": ["y"]}},
        },
        "required": ["context", "path"],
    }
    value = {"items": [{"x": 1, "y": 2}], "odd": 0, "path": "a.md", "depth": 1, "context": {"b": 1, "a": 2}}
    found = in_schema_order(value, schema)
    assert found == value
    assert list(found) == ["context", "path", "depth", "items", "odd"]
    assert list(found["context"]) == ["a", "b"] and list(found["items"][0]) == ["y", "x"]


@pytest.mark.parametrize("value", [None, 1, "text", [], {}, [1], {"a": None}])
def test_any_value_survives_the_ordering(value):
    assert in_schema_order(value, {"properties": {"a": {"items": {}}}}) == value
