"""lib/toolset.py: every kind of fault of a call gets its code, place and sentence; nothing that comes in raises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.toolset import Finding, load_toolset
from tests.rows import CONTEXT, arguments

TOOLSET = load_toolset()


def codes(name, args) -> list[str]:
    return [finding.code for finding in TOOLSET.check(name, args)]


def only(name, args) -> Finding:
    findings = TOOLSET.check(name, args)
    assert len(findings) == 1, findings
    return findings[0]


VALID = {
    "get_tools": arguments(tools=[]),
    "vaultManager_listDirectory": arguments(path="/", depth=2, filesOnly=True),
    "vaultManager_moveNote": arguments(path="A/b.md", newPath="C/d.md", overwrite=False),
    "agentManager_getAgent": arguments(name="Editor"),
    "agentManager_generateImage": arguments(prompt="A bee", provider="google", savePath="Art/bee.png"),
    "memoryManager_updateWorkspace": arguments(workspaceId="x", fieldPath="context.workflows[0].steps", newValue=[1]),
    "vaultLibrarian_searchMemory": arguments(query="x", workspaceId="w", dateRange={"start": "2025-11-03"}),
    "memoryManager_listSessions": arguments(workspaceContext='{"workspaceId": "ws"}', order="asc"),
    "contentManager_batchContent": arguments(
        operations=[
            {"type": "read", "params": {"filePath": "a.md"}},
            {"type": "replaceByLine", "params": {"filePath": "a.md", "startLine": 1, "endLine": 2, "newContent": "x"}},
        ]
    ),
}


@pytest.mark.parametrize("name", VALID)
def test_valid_calls_have_no_findings(name):
    assert TOOLSET.check(name, VALID[name]) == []


CASES = {
    "a required parameter is missing": (
        "vaultManager_moveNote",
        arguments(path="a.md"),
        ("missing-required", "arguments.newPath", "newPath is missing."),
    ),
    "a parameter is unknown": (
        "vaultManager_moveNote",
        arguments(path="a.md", newPath="b.md", overwrit=True),
        (
            "unknown-parameter",
            "arguments.overwrit",
            "there is no parameter overwrit. Did you mean overwrite?",
        ),
    ),
    "a nested parameter is missing": (
        "contentManager_batchContent",
        arguments(operations=[{"type": "append", "params": {"filePath": "a.md"}}]),
        ("missing-required", "arguments.operations[0].params.content", "operations[0].params.content is missing."),
    ),
    "a nested parameter is unknown": (
        "contentManager_batchContent",
        arguments(operations=[{"type": "read", "params": {"filePath": "a.md", "limits": 3}}]),
        (
            "unknown-parameter",
            "arguments.operations[0].params.limits",
            "there is no parameter operations[0].params.limits. Did you mean limit?",
        ),
    ),
    "a type is wrong": (
        "vaultManager_moveNote",
        arguments(path="a.md", newPath="b.md", overwrite="yes"),
        ("wrong-type", "arguments.overwrite", 'overwrite: "yes" is not of type "boolean".'),
    ),
    "a value is none of an enum": (
        "vaultManager_openNote",
        arguments(path="a.md", mode="popup"),
        (
            "bad-enum",
            "arguments.mode",
            'mode: "popup" is not one of "tab", "split" or 2 other candidates.',
        ),
    ),
    "a number is out of range": (
        "vaultLibrarian_searchContent",
        arguments(query="x", limit=51),
        ("out-of-range", "arguments.limit", "limit: 51 is greater than the maximum of 50."),
    ),
    "a pattern is missed": (
        "memoryManager_updateWorkspace",
        arguments(workspaceId="x", fieldPath="a..b", newValue=1),
        ("bad-pattern", "arguments.fieldPath", None),
    ),
    "a date is none": (
        "vaultLibrarian_searchMemory",
        arguments(query="x", workspaceId="w", dateRange={"start": "yesterday"}),
        ("bad-pattern", "arguments.dateRange.start", 'dateRange.start: "yesterday" is not a "date".'),
    ),
    "a text is empty": (
        "agentManager_deleteAgent",
        arguments(id=""),
        ("bad-length", "arguments.id", 'id: "" is shorter than 1 character.'),
    ),
    "a list is empty": (
        "vaultLibrarian_searchDirectory",
        arguments(query="x", paths=[]),
        ("bad-length", "arguments.paths", "paths: [] has less than 1 item."),
    ),
    "neither of two alternatives is given": (
        "agentManager_getAgent",
        arguments(),
        ("no-match", "arguments", "one of these is needed: id, name."),
    ),
    "a value fits no alternative": (
        "agentManager_listModels",
        arguments(workspaceContext=3),
        ("no-match", "arguments.workspaceContext", None),
    ),
    "the context is missing": (
        "agentManager_listModels",
        {},
        ("context-missing", "arguments.context", "context is missing; it is the first argument of every call."),
    ),
    "the context is not first": (
        "agentManager_deleteAgent",
        {"id": "x", "context": CONTEXT},
        ("context-not-first", "arguments", "context must be the first argument; 'id' is."),
    ),
    "the context is no object": (
        "agentManager_listModels",
        {"context": "session"},
        ("context-wrong-type", "arguments.context", 'context: "session" is not of type "object".'),
    ),
    "a context field is missing": (
        "agentManager_listModels",
        {"context": {key: value for key, value in CONTEXT.items() if key != "subgoal"}},
        ("context-missing-field", "arguments.context.subgoal", "context.subgoal is missing."),
    ),
    "a context field is unknown": (
        "agentManager_listModels",
        {"context": {**CONTEXT, "subGoals": "x"}},
        (
            "context-unknown-field",
            "arguments.context.subGoals",
            "there is no context field context.subGoals. Did you mean subgoal?",
        ),
    ),
    "a context field is no text": (
        "agentManager_listModels",
        {"context": {**CONTEXT, "primaryGoal": 7}},
        ("context-wrong-type", "arguments.context.primaryGoal", 'context.primaryGoal: 7 is not of type "string".'),
    ),
    "a context field is empty": (
        "agentManager_listModels",
        {"context": {**CONTEXT, "toolContext": ""}},
        ("bad-length", "arguments.context.toolContext", None),
    ),
    "the memory is empty": (
        "agentManager_listModels",
        {"context": {**CONTEXT, "sessionMemory": ""}},
        ("empty-memory", "arguments.context.sessionMemory", "sessionMemory is empty; say what has happened so far."),
    ),
    "the memory is blank": (
        "agentManager_listModels",
        {"context": {**CONTEXT, "sessionMemory": " \n\u3000"}},
        ("empty-memory", "arguments.context.sessionMemory", "sessionMemory holds nothing visible."),
    ),
    "the session id is malformed": (
        "agentManager_listModels",
        {"context": {**CONTEXT, "sessionId": "session_176216040000_a1b2c3d4e"}},
        ("bad-session-id", "arguments.context.sessionId", None),
    ),
    "the workspace id is malformed": (
        "agentManager_listModels",
        {"context": {**CONTEXT, "workspaceId": "ws_1762160400000_F5G6H7I8J"}},
        ("bad-workspace-id", "arguments.context.workspaceId", None),
    ),
    "a path leaves the vault": (
        "vaultManager_deleteNote",
        arguments(path="../secret.md"),
        ("path-escape", "arguments.path", "'../secret.md' holds a \"..\" part, which leads out of its folder."),
    ),
    "a path in a list leaves the vault": (
        "vaultLibrarian_searchContent",
        arguments(query="x", paths=["Notes", "~/x"]),
        ("path-escape", "arguments.paths[1]", None),
    ),
    "a path in a batch leaves the vault": (
        "contentManager_batchContent",
        arguments(operations=[{"type": "read", "params": {"filePath": "C:/x"}}]),
        ("path-escape", "arguments.operations[0].params.filePath", None),
    ),
    "the path of an action leaves the vault": (
        "agentManager_executePrompt",
        arguments(prompt="x", provider="p", model="m", action={"type": "create", "targetPath": "/etc/x"}),
        ("path-escape", "arguments.action.targetPath", None),
    ),
    "a tool is unknown": (
        "contentManager_readContents",
        arguments(),
        (
            "unknown-tool",
            "name",
            "there is no tool 'contentManager_readContents'. Did you mean contentManager_readContent?",
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_fault_has_its_code_place_and_sentence(case):
    name, args, (code, path, message) = CASES[case]
    finding = only(name, args)
    assert (finding.code, finding.path, finding.severity) == (code, path, "error")
    assert message is None or finding.message == message


def test_all_faults_of_a_call_are_found_at_once():
    args = {"path": "..", "context": {**CONTEXT, "sessionId": "x", "extra": 1}, "depth": -1, "filesOnly": 0}
    assert sorted(codes("vaultManager_listDirectory", args)) == [
        "bad-session-id",
        "context-not-first",
        "context-unknown-field",
        "out-of-range",
        "path-escape",
        "wrong-type",
    ]


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


def cyclic():
    value = {}
    value["a"] = value
    return value


HOSTILE = {
    "none": None,
    "text": "context",
    "list": [],
    "number": 3,
    "nan": arguments(path="x", depth=float("nan")),
    "infinity": arguments(path="x", depth=float("inf")),
    "huge": arguments(path="x", depth=-(10**5000)),
    "deep": arguments(path=nested(5000)),
    "cyclic": cyclic(),
    "set": arguments(path={1}),
    "bytes": arguments(path=b"x"),
    "object": object(),
    "number keys": {1: 2, "context": 3},
    "none key": {None: 1},
    "surrogate": arguments(path="a\ud800"),
    "surrogate key": arguments(path="a", **{"\ud800": 1}),
    "odd names": arguments(path="a", **{"a b\n": 1, "": 2}),
    "tuple": ({},),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_arguments_are_findings_never_exceptions(case):
    findings = TOOLSET.check("vaultManager_listDirectory", HOSTILE[case])
    assert findings
    for finding in findings:
        assert finding.message.isprintable()
        assert len(finding.message) < 500


@pytest.mark.parametrize("name", [None, 3, [], {}, "", "x" * 100000, "\ud800\n", ("a",)])
def test_hostile_names_are_unknown_tools(name):
    finding = only(name, {})
    assert finding.code == "unknown-tool"
    assert finding.message.isprintable() and len(finding.message) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_json_gets_an_answer(data):
    tool = data.draw(st.sampled_from(list(TOOLSET.tools.values())))
    names = st.sampled_from(list(tool.parameters["properties"]))
    args = data.draw(st.dictionaries(names | st.text(max_size=5), json_values | st.just(CONTEXT), max_size=5))
    for finding in TOOLSET.check(tool.name, args):
        assert finding.code and finding.message and finding.path
