"""The contentManager tools: one test per success form and per error form."""

import pytest

from tests.vault_support import NOTES, call, make_vault, refused, succeeds

READ = "contentManager_readContent"
CREATE = "contentManager_createContent"
APPEND = "contentManager_appendContent"
PREPEND = "contentManager_prependContent"
REPLACE = "contentManager_replaceContent"
DELETE = "contentManager_deleteContent"
BY_LINE = "contentManager_replaceByLine"
FIND = "contentManager_findReplaceContent"
PLAN = "Projects/Plan.md"
OLD = "Projects/Archive/Old.md"
# Every tool that needs an existing text file, with the rest of its arguments.
ON_EXISTING = [
    (READ, {}),
    (APPEND, {"content": "x"}),
    (PREPEND, {"content": "x"}),
    (REPLACE, {"oldContent": "a", "newContent": "b"}),
    (DELETE, {"content": "a"}),
    (BY_LINE, {"startLine": 1, "endLine": 1, "newContent": "x"}),
    (FIND, {"findText": "a", "replaceText": "b"}),
]


@pytest.mark.parametrize(("tool", "rest"), ON_EXISTING)
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("Projects/plan.md", "File not found: Projects/plan.md"),
        ("Projects", "Not a file: Projects"),
        ("", "Not a file: /"),
        ("scan.png", "Not a text file: scan.png"),
    ],
)
def test_a_tool_on_text_refuses_what_is_no_text_file(tool, rest, path, error):
    vault = make_vault(notes={**NOTES, "scan.png": {"base64": "AAEC"}})
    assert refused(vault, tool, filePath=path, **rest) == {"error": error}


# ------------------------------------------------------------ readContent


def test_reading_gives_the_whole_text():
    assert succeeds(make_vault(), READ, filePath="/Projects/Plan.md") == {
        "data": {"content": NOTES[PLAN], "filePath": PLAN},
        "recommendations": [],
    }


@pytest.mark.parametrize("one_alone", [{"limit": 1}, {"offset": 2}])
def test_limit_or_offset_alone_is_ignored(one_alone):
    data = succeeds(make_vault(), READ, filePath=PLAN, **one_alone)["data"]
    assert data == {"content": NOTES[PLAN], "filePath": PLAN}


@pytest.mark.parametrize(
    ("offset", "limit", "content", "echo"),
    [
        (2, 1, "first step", (2, 2)),
        (2, 2, "first step\nsecond step", (2, 3)),
        (3, 50, "second step\n", (3, 52)),
        (0, 2, "# Plan", (0, 1)),
        (-3, 5, "# Plan", (-3, 1)),
        (2.0, 1.0, "first step", (2, 2)),
        (4, 1e300, "", (4, 2**52 + 3)),
    ],
)
def test_a_range_is_clamped_and_echoed_as_asked(offset, limit, content, echo):
    data = succeeds(make_vault(), READ, filePath=PLAN, offset=offset, limit=limit)["data"]
    assert data == {"content": content, "filePath": PLAN, "startLine": echo[0], "endLine": echo[1]}


def test_line_numbers_are_those_of_the_file():
    data = succeeds(make_vault(), READ, filePath=PLAN, offset=2, limit=2, includeLineNumbers=True)["data"]
    assert data["content"] == "2: first step\n3: second step"
    assert data["lineNumbersIncluded"] is True


def test_the_whole_text_with_line_numbers_has_no_range():
    data = succeeds(make_vault(), READ, filePath="Inbox.md", includeLineNumbers=True)["data"]
    assert data == {"content": "1: call Ann\n2: call Bob\n3: ", "filePath": "Inbox.md", "lineNumbersIncluded": True}


@pytest.mark.parametrize(("offset", "limit"), [(9, 2), (2, 0), (1, -4), (-5, 2), (1e300, 1)])
def test_a_range_without_lines_is_refused(offset, limit):
    error = {"error": "Start line cannot be greater than end line"}
    assert refused(make_vault(), READ, filePath=PLAN, offset=offset, limit=limit) == error


def test_only_a_text_over_7000_characters_brings_a_hint():
    vault = make_vault(notes={"short.md": "x" * 7000, "long.md": "x" * 7001})
    assert succeeds(vault, READ, filePath="short.md")["recommendations"] == []
    assert len(succeeds(vault, READ, filePath="long.md")["recommendations"]) == 1


# ------------------------------------------------------------ createContent


@pytest.mark.parametrize("text", ["# New\n", ""])
def test_creating_a_note_makes_its_folder_and_reports_its_time(text):
    vault = make_vault()
    result = succeeds(vault, CREATE, filePath="/Ideas/Garden/New.md", content=text)
    assert result["data"] == {"filePath": "Ideas/Garden/New.md", "created": vault.now}
    assert [hint["type"] for hint in result["recommendations"]] == ["obsidian_features"]
    assert vault.notes["Ideas/Garden/New.md"].text == text
    assert "Ideas/Garden" in vault.folders


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("Inbox.md", "File already exists: Inbox.md"),
        ("Projects", "File already exists: Projects"),
        ("", "File path is required"),
        ("Inbox.md/x.md", "Parent path is not a folder: Inbox.md"),
    ],
)
def test_creating_over_or_below_a_file_is_refused(path, error):
    assert refused(make_vault(), CREATE, filePath=path, content="x") == {"error": error}


def test_creating_without_content_is_refused():
    assert refused(make_vault(), CREATE, filePath="x.md") == {"error": "content is missing."}


# ------------------------------------------------------------ append, prepend


def test_appending_adds_the_text_as_it_is():
    vault = make_vault()
    data = succeeds(vault, APPEND, filePath=OLD, content="est é")["data"]
    assert data == {"filePath": OLD, "appendedLength": 5, "totalLength": 8}
    assert vault.notes[OLD].text == "oldest é"


def test_prepending_goes_before_frontmatter():
    vault = make_vault(notes={"a.md": "---\nkey: 1\n---\n"})
    data = succeeds(vault, PREPEND, filePath="a.md", content="top")["data"]
    assert data == {"filePath": "a.md", "prependedLength": 3, "totalLength": 18}
    assert vault.notes["a.md"].text == "top---\nkey: 1\n---\n"


def test_a_change_sets_the_modified_time_and_keeps_the_created_one():
    vault = make_vault()
    created = vault.notes[OLD].created
    call(vault, APPEND, filePath=OLD, content="!")
    assert (vault.notes[OLD].created, vault.notes[OLD].modified) == (created, vault.now)


# ------------------------------------------------------------ replace, delete a passage


def test_replacing_takes_every_exact_occurrence_and_expands_nothing():
    vault = make_vault()
    result = succeeds(vault, REPLACE, filePath="Inbox.md", oldContent="call", newContent="$& \\1")
    assert result == {"data": {"filePath": "Inbox.md", "replacements": 2}}
    assert vault.notes["Inbox.md"].text == "$& \\1 Ann\n$& \\1 Bob\n"


@pytest.mark.parametrize("passage", ["Call", "call  Ann", ""])
@pytest.mark.parametrize("threshold", [{}, {"similarityThreshold": 0.1}])
def test_only_an_exact_passage_is_replaced_or_deleted(passage, threshold):
    vault = make_vault()
    replaced = refused(vault, REPLACE, filePath="Inbox.md", oldContent=passage, newContent="x", **threshold)
    deleted = refused(vault, DELETE, filePath="Inbox.md", content=passage, **threshold)
    assert replaced == {"error": "Content to replace not found in file"}
    assert deleted == {"error": "Content to delete not found in file"}


def test_deleting_a_passage_takes_every_hit_and_keeps_the_file():
    vault = make_vault(notes={"a.md": "xx"})
    assert succeeds(vault, DELETE, filePath="a.md", content="x") == {"data": {"filePath": "a.md", "deletions": 2}}
    assert vault.notes["a.md"].text == ""


def test_a_replacement_that_would_fill_the_memory_is_refused():
    vault = make_vault(notes={"a.md": "x" * 5000})
    call(vault, REPLACE, filePath="a.md", oldContent="x", newContent="x" * 1000)
    long = {"filePath": "a.md", "newContent": "x" * 1000, "oldContent": "x"}
    assert refused(vault, REPLACE, **long)["error"].startswith("The text would be longer than ")
    found = {"filePath": "a.md", "findText": "x", "replaceText": "x" * 1000, "replaceAll": True}
    assert refused(vault, FIND, **found)["error"].startswith("The text would be longer than ")


# ------------------------------------------------------------ replaceByLine


@pytest.mark.parametrize(
    ("first", "last", "new", "text", "replaced"),
    [
        (2, 2, "x", "# Plan\nx\nsecond step\n", 1),
        (2, 3, "a\nb\nc", "# Plan\na\nb\nc\n", 2),
        (0, 1, "x", "x\nfirst step\nsecond step\n", 1),
        (3, 99, "x", "# Plan\nfirst step\nx", 2),
        (2, 2, "", "# Plan\n\nsecond step\n", 1),
    ],
)
def test_lines_are_replaced_within_the_file(first, last, new, text, replaced):
    vault = make_vault()
    result = succeeds(vault, BY_LINE, filePath=PLAN, startLine=first, endLine=last, newContent=new)
    assert result == {"data": {"filePath": PLAN, "linesReplaced": replaced}}
    assert vault.notes[PLAN].text == text


@pytest.mark.parametrize(("first", "last"), [(3, 2), (9, 10), (1, 0)])
def test_lines_that_do_not_exist_are_refused(first, last):
    error = {"error": "Start line cannot be greater than end line"}
    assert refused(make_vault(), BY_LINE, filePath=PLAN, startLine=first, endLine=last, newContent="x") == error


# ------------------------------------------------------------ findReplaceContent


@pytest.mark.parametrize(
    ("find", "flags", "text", "count"),
    [
        ("cat", {}, "X Cat catalog cat.", 1),
        ("cat", {"replaceAll": True}, "X Cat Xalog X.", 3),
        ("cat", {"replaceAll": True, "caseSensitive": False}, "X X Xalog X.", 4),
        ("cat", {"replaceAll": True, "wholeWord": True}, "X Cat catalog X.", 2),
        ("cat", {"replaceAll": True, "wholeWord": True, "caseSensitive": False}, "X X catalog X.", 3),
        (".", {"replaceAll": True}, "cat Cat catalog catX", 1),
    ],
)
def test_find_and_replace_is_literal_and_obeys_its_flags(find, flags, text, count):
    vault = make_vault(notes={"a.md": "cat Cat catalog cat."})
    data = succeeds(vault, FIND, filePath="a.md", findText=find, replaceText="X", **flags)["data"]
    assert data == {"filePath": "a.md", "replacements": count, "findText": find, "replaceText": "X"}
    assert vault.notes["a.md"].text == text


def test_a_replacement_text_is_not_expanded():
    vault = make_vault(notes={"a.md": "cat"})
    call(vault, FIND, filePath="a.md", findText="cat", replaceText="$& \\g<0> \\n")
    assert vault.notes["a.md"].text == "$& \\g<0> \\n"


def test_finding_nothing_succeeds_and_leaves_the_file_untouched():
    vault = make_vault()
    before = vault.notes["Inbox.md"]
    data = succeeds(vault, FIND, filePath="Inbox.md", findText="zebra", replaceText="x", replaceAll=True)["data"]
    assert data["replacements"] == 0
    assert vault.notes["Inbox.md"] is before


def test_an_empty_find_text_is_refused():
    assert refused(make_vault(), FIND, filePath="Inbox.md", findText="", replaceText="x") == {
        "error": "Find text is required"
    }
