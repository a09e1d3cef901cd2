"""No path leaves the vault, whatever it is made of; what is accepted is stored in one form only."""

import ntpath
import posixpath
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.toolset import load_toolset
from lib.vault.call import ToolError
from lib.vault.execute import TOOLS
from lib.vault.paths import clean, is_inside, parents, path_fault, split_extension
from tests.vault_support import call, make_vault

ESCAPES = [
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "a/.. /x",
    "a/.../x",
    ". ./x",
    "..\u200b/x",
    "\u202e../x",
    "//server/share",
    "///x",
    "~",
    "~/x",
    "~root/x",
    "C:/x",
    "c:x",
    "0:",
    "./C:",
    ".//~/x",
    "\uff10\uff1ax",
    "/C:/x",
    "C:\\x",
    "\\\\server\\share",
    "\\\\?\\C:\\x",
    "a\\..\\x",
    "a\\x",
    "file:///etc/passwd",
    "x\0.md",
    "x\n.md",
    "x\x7f",
    "x\u2028y",
    "x\ud800",
    "..\u2215x",
    "..\u2044x",
    "..\uff0fx",
    "\uff0e\uff0e/x",
    "\u2024\u2024/x",
    "\u2025/x",
    "..\u29f8x",
    "..\uff3cx",
    "\uff5e/x",
    "%2e%2e/x",
    "..%2fx",
    "CON",
    "nul.md",
    "a/Com1.txt",
    "LPT9",
    "aux .md",
    "com\u00b9",
    ".vault/state.json",
    ".obsidian/app.json",
    "a/.hidden.md",
    "\uff0evault/x",
    " ",
    "a/ /b",
    "a/\u200b/b",
    "x" * 256,
    "ä" * 128,
    "/".join(["abc"] * 300),
]
SAFE = {
    "Notes/Plan.md": "Notes/Plan.md",
    "/Notes/Plan.md": "Notes/Plan.md",
    "Notes//Plan.md": "Notes/Plan.md",
    "./Notes/./Plan.md": "Notes/Plan.md",
    "Notes/": "Notes",
    "": "",
    "/": "",
    ".": "",
    "Tagebuch/März – Übersicht.md": "Tagebuch/März – Übersicht.md",
    "日記/二〇二五.md": "日記/二〇二五.md",
    "Wait….md": "Wait….md",
    "v1.2/a..b.md": "v1.2/a..b.md",
    "Con artists.md": "Con artists.md",
    "Console/Auxiliary.md": "Console/Auxiliary.md",
    "½ day.md": "½ day.md",
    "100%.md": "100%.md",
    "emoji 🎉.md": "emoji 🎉.md",
    "what? (draft) [v2] & more!.md": "what? (draft) [v2] & more!.md",
}
PIECES = ["..", ".", "/", "//", "\\", "~", "C:", "a", "Notes", " ", "\0", "\n", "%2e", "%2f", "\u2215", "\u2044"]
PIECES += [
    "\uff0f",
    "\uff3c",
    "\uff0e",
    "\u2024",
    "\u2025",
    "\u29f8",
    "\u200b",
    "\u202e",
    "\ud800",
    "CON",
    "nul",
    ".vault",
]
WRITTEN = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=8).map("".join)


@pytest.mark.parametrize("path", ESCAPES, ids=ascii)
def test_a_path_that_leaves_the_vault_or_names_no_plain_file_is_refused(path):
    with pytest.raises(ToolError):
        clean(path)


@pytest.mark.parametrize(("path", "stored"), SAFE.items())
def test_an_ordinary_path_is_stored_in_its_short_form(path, stored):
    assert clean(path) == stored


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(WRITTEN)
@example("/" + "../" * 8 + "etc/passwd")
@example("\u200b:")
def test_an_accepted_path_stays_inside_on_every_system(path):
    try:
        stored = clean(path)
    except ToolError:
        assert path_fault(path)
        return
    root = "/vaults/mine"
    for form in (stored, unicodedata.normalize("NFC", stored), unicodedata.normalize("NFKC", stored)):
        visible = "".join(char for char in form if unicodedata.category(char) != "Cf")
        for candidate in (form, visible):
            inside = posixpath.normpath(posixpath.join(root, candidate))
            assert inside == root or inside.startswith(root + "/")
            windows = ntpath.normpath(ntpath.join("V:\\mine", candidate))
            assert windows == "V:\\mine" or windows.startswith("V:\\mine\\")
    assert not any(ord(char) < 32 for char in stored)
    stored.encode("utf-8")


@settings(max_examples=500, deadline=None, derandomize=True)
@given(WRITTEN)
def test_cleaning_twice_is_cleaning_once(path):
    try:
        stored = clean(path)
    except ToolError:
        return
    assert clean(stored) == stored
    assert not stored.startswith("/") and not stored.endswith("/") and "//" not in stored


def path_arguments():
    """(tool, the path's place) for every vault path in every schema, so that none is forgotten."""
    return [(tool.name, place) for tool in load_toolset().tools.values() for place in tool.path_places]


def placed(schema, place, path):
    """The smallest arguments that carry the path at its place and fit the schema everywhere else."""
    values = {"string": "x", "number": 1, "integer": 1, "boolean": True, "array": [], "object": {}}
    if not place:
        return path
    if place[0] == "*":
        return [placed(schema["items"], place[1:], path)]
    built = {}
    for name in schema.get("required", ()):
        part = schema["properties"][name]
        built[name] = part["enum"][0] if "enum" in part else values.get(part.get("type"), "x")
    built.pop("context", None)
    built[place[0]] = placed(schema["properties"][place[0]], place[1:], path)
    return built


@pytest.mark.parametrize(
    "path", ["../x.png", "//x.png", "C:\\x.png", "~/x.png", "a/..\u2215x.png", "x\0.png"], ids=ascii
)
def test_every_path_argument_of_every_tool_refuses_an_escape(path):
    places = path_arguments()
    assert len(places) >= 25
    for tool, place in places:
        vault = make_vault()
        before = vault.clone()
        arguments = placed(load_toolset().tools[tool].parameters, place, path)
        assert "path-escape" in {finding.code for finding in load_toolset().check(tool, arguments)}, (tool, place)
        result = call(vault, tool, **arguments)
        assert result["success"] is False, (tool, place)
        assert vault == before, (tool, place)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(path=WRITTEN, tool=st.sampled_from(["contentManager_createContent", "vaultManager_createFolder"]))
def test_no_call_stores_a_path_that_is_not_clean(path, tool):
    vault = make_vault()
    rest = {"filePath": path, "content": "x"} if "Content" in tool else {"path": path}
    assert tool in TOOLS
    call(vault, tool, **rest)
    for stored in [*vault.notes, *vault.folders]:
        assert clean(stored) == stored != ""


def test_an_error_shows_a_long_or_unprintable_path_cut_and_escaped():
    with pytest.raises(ToolError) as long:
        clean("x" * 5000)
    with pytest.raises(ToolError) as control:
        clean("x\x1b[2J")
    assert len(long.value.text) < 250
    assert "\\x1b" in control.value.text and "\x1b" not in control.value.text


def test_parts_of_a_path():
    assert parents("a/b/c.md") == ["a/b", "a"]
    assert [split_extension(path) for path in ("a.b/c.md", "a.b/c", "a/.x")] == [
        ("a.b/c", ".md"),
        ("a.b/c", ""),
        ("a/.x", ""),
    ]
    assert is_inside("a/b", "a") and is_inside("a", "") and not is_inside("ab", "a") and not is_inside("", "")
