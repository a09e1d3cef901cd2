"""contentManager_batchContent: operations in order, each with a result of its own."""

import pytest

from tests.vault_support import NOTES, make_vault, refused, succeeds

BATCH = "contentManager_batchContent"
PLAN = "Projects/Plan.md"


def operation(kind, path="Inbox.md", **params):
    return {"type": kind, "params": {"filePath": path, **params}}


@pytest.mark.parametrize(
    ("item", "data"),
    [
        (operation("read", PLAN), {"content": NOTES[PLAN], "filePath": PLAN}),
        (operation("append", content="x"), {"appendedLength": 1, "totalLength": 19}),
        (operation("prepend", content="xy"), {"prependedLength": 2, "totalLength": 20}),
        (operation("replace", oldContent="call", newContent="ask"), {"filePath": "Inbox.md", "replacements": 2}),
        (operation("delete", content="call "), {"filePath": "Inbox.md", "deletions": 2}),
        (
            operation("replaceByLine", startLine=1, endLine=1, newContent="x"),
            {"filePath": "Inbox.md", "linesReplaced": 1},
        ),
        (
            operation("findReplace", findText="Ann", replaceText="Eve"),
            {"filePath": "Inbox.md", "replacements": 1, "findText": "Ann", "replaceText": "Eve"},
        ),
    ],
)
def test_each_operation_answers_as_its_tool_does(item, data):
    result = succeeds(make_vault(), BATCH, operations=[item])
    path = item["params"]["filePath"]
    assert result == {
        "data": {"results": [{"success": True, "data": data, "type": item["type"], "filePath": path}]},
        "recommendations": [],
    }


def test_a_created_file_is_there_for_the_next_operation():
    vault = make_vault()
    items = [operation("create", "/N.md", content="a"), operation("append", "N.md", content="b")]
    results = succeeds(vault, BATCH, operations=items)["data"]["results"]
    assert results[0]["data"] == {"filePath": "N.md", "created": vault.now}
    assert vault.notes["N.md"].text == "ab"


def test_a_failing_operation_neither_stops_nor_undoes_the_others():
    vault = make_vault()
    items = [
        operation("append", content="one"),
        operation("append", "Nope.md", content="two"),
        operation("append", content="three"),
    ]
    results = succeeds(vault, BATCH, operations=items)["data"]["results"]
    assert [result["success"] for result in results] == [True, False, True]
    assert results[1] == {
        "success": False,
        "error": "File not found: Nope.md",
        "type": "append",
        "filePath": "Nope.md",
    }
    assert vault.notes["Inbox.md"].text.endswith("onethree")


@pytest.mark.parametrize(
    ("items", "hints"),
    [
        ([operation("read")] * 3, []),
        ([operation("read")] * 4, ["batch_read"]),
        ([operation("create", f"{n}.md", content="x") for n in range(2)], []),
        ([operation("create", f"{n}.md", content="x") for n in range(3)], ["batch_create"]),
    ],
)
def test_many_reads_or_creates_bring_a_hint(items, hints):
    recommendations = succeeds(make_vault(), BATCH, operations=items)["recommendations"]
    assert [hint["type"] for hint in recommendations] == hints


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"params": {"filePath": "Inbox.md"}}, "operations[1].type"),
        ({"type": "read"}, "operations[1].params"),
        ({"type": "erase", "params": {"filePath": "Inbox.md"}}, "operations[1].type"),
        (operation("read", ""), "operations[1].params.filePath"),
        (operation("append"), "operations[1].params.content"),
        (operation("append", content=""), "operations[1].params.content"),
        (operation("create", "x.md", content=""), "operations[1].params.content"),
        (operation("prepend", content=""), "operations[1].params.content"),
        (operation("replace", oldContent="", newContent="x"), "operations[1].params.oldContent"),
        (operation("replace", oldContent="call", newContent=""), "operations[1].params.newContent"),
        (operation("delete", content=""), "operations[1].params.content"),
        (operation("findReplace", findText="", replaceText="x"), "operations[1].params.findText"),
        (operation("findReplace", findText="call", replaceText=""), "operations[1].params.replaceText"),
        (operation("replaceByLine", startLine="1", endLine=1, newContent="x"), "operations[1].params.startLine"),
        (operation("read", "../x.md"), "operations[1].params.filePath"),
    ],
)
def test_one_faulty_operation_stops_the_whole_batch_before_it_runs(fault, named):
    items = [operation("append", content="never"), fault]
    assert named in refused(make_vault(), BATCH, operations=items)["error"]


def test_an_empty_batch_is_refused():
    assert refused(make_vault(), BATCH, operations=[])["error"].startswith("operations: ")
