"""One call: check, run, envelope, trace; deterministic, and never an exception on what a model writes."""

import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.toolset import DEFAULT_TOOLS, load_toolset
from lib.vault.execute import TOOLS, execute
from lib.vault.state import Vault
from tests.vault_support import CONTEXT, SESSION, WORKSPACE, call, make_vault, refused

CALLS = [
    ("contentManager_createContent", {"filePath": "New/A.md", "content": "a"}),
    ("contentManager_createContent", {"filePath": "New/A.md", "content": "again"}),
    ("vaultManager_duplicateNote", {"sourcePath": "New/A.md", "targetPath": "New/A.md", "autoIncrement": True}),
    ("vaultManager_listDirectory", {"path": "", "depth": 5}),
    ("vaultManager_moveFolder", {"path": "New", "newPath": "Old"}),
    ("contentManager_readContent", {"filePath": "Old/A copy.md"}),
]


def test_every_schema_has_a_function_and_every_function_a_schema():
    assert set(TOOLS) == set(load_toolset().tools)
    assert len(TOOLS) == 47


def test_a_result_starts_with_success_and_carries_the_ids_of_its_context():
    vault = make_vault()
    for tool, arguments in CALLS:
        result = call(vault, tool, **arguments)
        assert next(iter(result)) == "success"
        assert (result["sessionId"], result["workspaceId"]) == (SESSION, WORKSPACE)
        assert "context" not in result


@pytest.mark.parametrize(
    ("tool", "arguments", "error"),
    [
        ("contentManager_readConten", {}, "there is no tool 'contentManager_readConten'. Did you mean"),
        ("contentManager_readContent", {}, "filePath is missing."),
        ("contentManager_readContent", {"filePath": 3}, 'filePath: 3 is not of type "string".'),
        ("contentManager_readContent", {"filePath": "a", "colour": 1}, "colour"),
        ("vaultManager_openNote", {"path": "a", "mode": "x"}, 'mode: "x" is not one of '),
        ("vaultManager_listDirectory", {"path": "", "depth": -1}, "depth: -1 is less than the minimum of 0."),
    ],
)
def test_a_call_against_its_schema_is_refused_by_parameter(tool, arguments, error):
    vault = make_vault()
    before = vault.clone()
    result = call(vault, tool, **arguments)
    assert result["success"] is False
    assert error in result["error"]
    assert vault == before


@pytest.mark.parametrize("missing", list(CONTEXT))
def test_a_context_without_one_of_its_fields_is_refused(missing):
    context = {key: value for key, value in CONTEXT.items() if key != missing}
    vault = make_vault()
    result = execute(vault, "contentManager_readContent", {"context": context, "filePath": "Inbox.md"})
    assert result["success"] is False
    assert missing in result["error"]
    assert missing not in result


@pytest.mark.parametrize("arguments", [None, [], "text", 3, {}, {"context": None}, {"context": []}])
def test_arguments_that_are_no_object_with_context_are_refused(arguments):
    assert execute(make_vault(), "contentManager_readContent", arguments)["success"] is False


@pytest.mark.parametrize(
    "value",
    ["\ud800", float("nan"), float("inf"), 10**30, {1, 2}, b"x", object(), {3: 4}],
    ids=["half-pair", "nan", "infinity", "huge", "set", "bytes", "object", "integer-key"],  # repr holds an address
)
def test_values_that_json_cannot_carry_are_refused(value):
    vault = make_vault()
    before = vault.clone()
    assert call(vault, "contentManager_appendContent", filePath="Inbox.md", content=value)["success"] is False
    assert call(vault, "contentManager_readContent", filePath="Inbox.md", offset=value, limit=1)["success"] is False
    assert vault == before


def test_endless_and_deep_arguments_are_refused():
    endless: list = []
    endless.append(endless)
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep):
        assert call(make_vault(), "contentManager_batchContent", operations=value)["success"] is False


@pytest.mark.parametrize("name", [None, 3, [], {}, "", "\ud800", "get_tools\0"])
def test_a_name_that_is_no_tool_is_refused(name):
    assert execute(make_vault(), name, {"context": CONTEXT})["success"] is False


def test_a_schema_without_a_function_is_a_refusal_and_no_crash(tmp_path):
    toolset = json.loads(DEFAULT_TOOLS.read_text(encoding="utf-8"))
    toolset["tools"] = [{**tool, "name": "other_tool"} for tool in toolset["tools"] if tool["mode"] == "listModels"]
    (tmp_path / "tools.json").write_text(json.dumps(toolset), encoding="utf-8")
    result = execute(make_vault(), "other_tool", {"context": CONTEXT}, load_toolset(tmp_path / "tools.json"))
    assert result == {"success": False, "error": "other_tool has a schema but cannot be run here"}


def test_one_leading_slash_is_dropped_and_two_are_not():
    vault = make_vault()
    assert call(vault, "contentManager_readContent", filePath="/Inbox.md")["data"]["filePath"] == "Inbox.md"
    assert refused(vault, "contentManager_readContent", filePath="//Inbox.md")["error"].startswith("filePath: ")
    batch = [{"type": "read", "params": {"filePath": "/Inbox.md"}}]
    assert call(vault, "contentManager_batchContent", operations=batch)["data"]["results"][0]["success"] is True


def test_an_unknown_id_stands_for_the_current_session_and_a_stored_one_for_itself():
    vault = make_vault(sessions=[{"name": "past"}, {"name": "now"}])
    past, now = vault.sessions
    call(vault, "contentManager_readContent", filePath="Inbox.md")
    context = {**CONTEXT, "sessionId": past}
    execute(vault, "contentManager_readContent", {"context": context, "filePath": "Inbox.md"})
    assert [trace.session_id for trace in vault.traces.values()] == [now, past]
    assert {trace.workspace_id for trace in vault.traces.values()} == {vault.current_workspace}


def test_each_run_call_leaves_a_trace_of_what_it_did():
    vault = make_vault()
    call(vault, "vaultManager_moveNote", path="/Inbox.md", newPath="In.md")
    call(vault, "vaultManager_deleteNote", path="Inbox.md")
    call(vault, "vaultManager_deleteNote")
    moved, failed = vault.traces.values()
    assert (moved.tool, moved.files, moved.success) == ("vaultManager_moveNote", ("Inbox.md", "In.md"), True)
    assert json.loads(moved.params) == {"path": "Inbox.md", "newPath": "In.md"}
    assert (moved.memory, moved.content) == ("Nothing done yet", "vaultManager_moveNote: Look at the plan")
    assert (failed.success, failed.error) == (False, "File not found: Inbox.md")


def test_the_same_calls_on_the_same_state_give_the_same_bytes():
    runs = []
    for vault in (make_vault(), make_vault(), make_vault().clone()):
        results = [call(vault, tool, **arguments) for tool, arguments in CALLS]
        runs.append(json.dumps([results, vault.to_dict()]))
    assert runs[0] == runs[1] == runs[2]


def test_results_do_not_depend_on_the_hash_seed():
    code = (
        "import json; from tests.test_vault_execute import CALLS; from tests.vault_support import *; v = make_vault();"
        "print(json.dumps([[call(v, t, **a) for t, a in CALLS], v.to_dict()]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["Inbox.md", "/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def valid_or_not(schema):
    """Values of the right type mostly, so that calls get past the schema, and anything else sometimes."""
    kinds = {
        "string": st.sampled_from(["", "Inbox.md", "Projects", "/", "../x", "a", "call", "(a", "Plan"])
        | st.text(max_size=6),
        "number": st.integers(-3, 9) | st.floats(),
        "integer": st.integers(-3, 9),
        "boolean": st.booleans(),
        "array": st.lists(st.text(max_size=4) | JSON, max_size=3),
        "object": JSON,
    }
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("items") and schema["items"].get("type") == "object":
        return st.lists(arguments_for(schema["items"]), min_size=1, max_size=3)
    if schema.get("type") == "object" and schema.get("properties"):
        return arguments_for(schema)
    return kinds.get(schema.get("type"), JSON)


def arguments_for(schema):
    required = schema.get("required", ())
    fields = {name: valid_or_not(part) for name, part in schema["properties"].items() if name != "context"}
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required},
        optional={name: fields[name] for name in fields if name not in required},
    )


@pytest.mark.parametrize("name", sorted(load_toolset().tools))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_arguments_make_a_tool_raise_or_answer_outside_its_envelope(name, data):
    vault = make_vault(
        workspaces=[{"name": "Plan", "rootFolder": "Projects"}],
        agents=[{"id": "a", "name": "Plan", "description": "d", "prompt": "p"}],
        states=[{"name": "Plan", "activeTask": "call"}],
    )
    arguments = data.draw(arguments_for(load_toolset().tools[name].parameters))
    for _ in range(2):
        result = execute(vault, name, {"context": CONTEXT, **arguments})
        assert next(iter(result)) == "success"
        assert result["success"] is True or (result["success"] is False and isinstance(result["error"], str))
        json.dumps(result, allow_nan=False).encode()
        assert Vault.from_dict(vault.to_dict()) == vault
