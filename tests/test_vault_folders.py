"""The vaultManager tools: one test per success form and per error form."""

import pytest

from tests.vault_support import NOTES, make_vault, refused, succeeds

LIST = "vaultManager_listDirectory"


def names(items):
    return [item["name"] for item in items]


# ------------------------------------------------------------ listDirectory


@pytest.mark.parametrize("root", ["", "/", "."])
def test_listing_the_root_gives_direct_children_and_no_error_text(root):
    result = succeeds(make_vault(), LIST, path=root)
    assert list(result) == ["data"]
    assert names(result["data"]["files"]) == ["Inbox.md"]
    assert result["data"]["folders"] == [{"name": "Empty", "path": "Empty"}, {"name": "Projects", "path": "Projects"}]
    assert result["data"]["summary"] == {"fileCount": 1, "folderCount": 2, "totalItems": 3}


def test_listed_files_carry_path_size_and_times():
    vault = make_vault(notes={"A/x.md": {"text": "äb", "created": 5, "modified": 7}})
    [entry] = succeeds(vault, LIST, path="A")["data"]["files"]
    assert entry == {"name": "x.md", "path": "A/x.md", "size": 3, "created": 5, "modified": 7}


def test_listed_files_are_newest_first():
    notes = {f"{name}.md": {"text": "", "created": 1, "modified": age} for name, age in [("a", 3), ("b", 9), ("c", 6)]}
    assert names(succeeds(make_vault(notes=notes), LIST, path="")["data"]["files"]) == ["b.md", "c.md", "a.md"]


def test_depth_flattens_deeper_levels_into_the_same_lists():
    vault = make_vault()
    one = succeeds(vault, LIST, path="", depth=1)["data"]
    two = succeeds(vault, LIST, path="", depth=2)["data"]
    assert sorted(names(one["files"])) == ["Inbox.md", "Plan.md"]
    assert names(one["folders"]) == ["Archive", "Empty", "Projects"]
    assert sorted(names(two["files"])) == ["Inbox.md", "Old.md", "Plan.md"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.md", ["Old.md", "Plan.md"]),
        ("^P", ["Plan.md", "plain.txt"]),
        ("pla?", ["Plan.md", "plain.txt"]),
        ("[", []),
        ("nothing", []),
    ],
)
def test_a_filter_is_a_regex_and_a_glob_only_when_it_is_no_regex(pattern, found):
    vault = make_vault(notes={"P/Plan.md": "", "P/plain.txt": "", "P/Old.md": ""})
    listed = succeeds(vault, LIST, path="P", filter=pattern, filesOnly=True)["data"]["files"]
    assert sorted(names(listed)) == found


def test_a_filter_applies_to_folder_names_too():
    assert names(succeeds(make_vault(), LIST, path="", filter="^emp")["data"]["folders"]) == ["Empty"]


@pytest.mark.parametrize(
    ("flags", "lists"),
    [
        ({"includeFiles": False}, ["folders"]),
        ({"includeFolders": False}, ["files"]),
        ({"filesOnly": True, "includeFiles": False}, ["files"]),
        ({"foldersOnly": True, "includeFolders": False}, ["folders"]),
        ({"filesOnly": True, "foldersOnly": True}, ["files"]),
        ({"includeFiles": False, "includeFolders": False}, []),
    ],
)
def test_a_list_that_is_switched_off_is_absent(flags, lists):
    data = succeeds(make_vault(), LIST, path="", **flags)["data"]
    assert [key for key in data if key != "summary"] == lists
    assert data["summary"]["totalItems"] == sum(len(data[key]) for key in lists)


@pytest.mark.parametrize("path", ["Nowhere", "projects", "Inbox.md"])
def test_listing_what_is_no_folder_is_refused(path):
    error = f"Failed to list directory contents: Folder not found at path: {path}"
    assert refused(make_vault(), LIST, path=path) == {"error": error}


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)\\1", ".*" * 5, "a" * 201])
def test_a_filter_that_could_run_for_ages_is_refused(pattern):
    vault = make_vault(notes={"a" * 60 + "!.md": ""})
    assert refused(vault, LIST, path="", filter=pattern)["error"].startswith(
        "Failed to list directory contents: Invalid filter: "
    )


# ------------------------------------------------------------ createFolder


def test_creating_a_folder_makes_its_parents():
    vault = make_vault()
    result = succeeds(vault, "vaultManager_createFolder", path="/A/B/C")
    assert result == {"data": {"path": "A/B/C", "existed": False}}
    assert {"A", "A/B", "A/B/C"} <= vault.folders


def test_creating_an_existing_folder_succeeds_and_changes_nothing():
    vault = make_vault()
    before = set(vault.folders)
    assert succeeds(vault, "vaultManager_createFolder", path="Projects/") == {
        "data": {"path": "Projects", "existed": True}
    }
    assert vault.folders == before


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("", "Path is required"),
        ("/", "Path is required"),
        ("Inbox.md", "Path exists but is not a folder"),
        ("Inbox.md/Sub", "Parent path is not a folder: Inbox.md"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused(path, error):
    assert refused(make_vault(), "vaultManager_createFolder", path=path) == {"error": error}


# ------------------------------------------------------------ editFolder


def test_renaming_a_folder_moves_everything_in_it():
    vault = make_vault()
    result = succeeds(vault, "vaultManager_editFolder", path="Projects", newPath="Work")
    assert result == {"path": "Projects", "newPath": "Work"}
    assert sorted(vault.notes) == ["Inbox.md", "Work/Archive/Old.md", "Work/Plan.md"]
    assert vault.folders == {"Empty", "Work", "Work/Archive"}


@pytest.mark.parametrize(
    ("path", "new_path", "error"),
    [
        ("", "X", "Path is required"),
        ("Projects", "", "New path is required"),
        ("Nope", "X", "ENOENT: no such file or directory"),
        ("Inbox.md", "X", "ENOTDIR: not a directory"),
        ("Projects", "Empty", "EEXIST: file already exists"),
        ("Projects", "Inbox.md", "EEXIST: file already exists"),
        ("Projects", "Projects/Sub", "EINVAL: invalid argument"),
        ("Projects", "New/Work", "ENOENT: no such file or directory"),
        ("Projects", "Inbox.md/Work", "ENOTDIR: not a directory"),
    ],
)
def test_a_rename_the_file_system_would_refuse_is_refused(path, new_path, error):
    result = refused(make_vault(), "vaultManager_editFolder", path=path, newPath=new_path)
    if error.startswith("E"):
        error = f"Failed to rename folder: {error}, rename '{path}' -> '{new_path}'"
    assert result == {"error": error}


# ------------------------------------------------------------ deleteFolder


def test_deleting_an_empty_folder():
    vault = make_vault()
    assert succeeds(vault, "vaultManager_deleteFolder", path="Empty") == {"path": "Empty"}
    assert "Empty" not in vault.folders


def test_deleting_recursively_takes_everything_below():
    vault = make_vault(notes={**NOTES, "Projects2/Keep.md": ""})
    assert succeeds(vault, "vaultManager_deleteFolder", path="Projects", recursive=True) == {"path": "Projects"}
    assert sorted(vault.notes) == ["Inbox.md", "Projects2/Keep.md"]
    assert vault.folders == {"Empty", "Projects2"}


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("", {"error": "Path is required"}),
        ("Nope", {"path": "Nope", "error": "Folder not found"}),
        ("Inbox.md", {"path": "Inbox.md", "error": "Path is not a folder"}),
        ("Projects", {"path": "Projects", "error": "Folder is not empty: Projects"}),
    ],
)
def test_a_folder_that_must_stay_is_refused(path, result):
    assert refused(make_vault(), "vaultManager_deleteFolder", path=path) == result


# ------------------------------------------------------------ moveFolder


def test_moving_a_folder_makes_the_parents_of_its_destination():
    vault = make_vault()
    result = succeeds(vault, "vaultManager_moveFolder", path="Projects/Archive", newPath="Store/2025/Archive")
    assert result == {"path": "Projects/Archive", "newPath": "Store/2025/Archive"}
    assert "Store/2025/Archive/Old.md" in vault.notes
    assert {"Store", "Store/2025", "Store/2025/Archive"} <= vault.folders
    assert "Projects/Archive" not in vault.folders


@pytest.mark.parametrize("target", ["Empty", "Inbox.md"])
def test_moving_a_folder_with_overwrite_deletes_what_was_there(target):
    vault = make_vault(notes={**NOTES, "Empty/Gone.md": "x"})
    succeeds(vault, "vaultManager_moveFolder", path="Projects", newPath=target, overwrite=True)
    assert f"{target}/Plan.md" in vault.notes
    assert f"{target}/Gone.md" not in vault.notes
    assert target not in vault.notes


@pytest.mark.parametrize(
    ("path", "new_path", "overwrite", "error"),
    [
        ("Nope", "X", False, "Folder not found: Nope"),
        ("", "X", False, "Folder not found: /"),
        ("Inbox.md", "X", False, "Path is not a folder: Inbox.md"),
        ("Projects", "Empty", False, "Destination already exists: Empty"),
        ("Projects", "", True, "Destination already exists: /"),
        ("Projects", "Projects", True, "Destination already exists: Projects"),
        ("Projects/Archive", "Projects", True, "Destination already exists: Projects"),
        ("Projects", "Projects/Sub", False, "A folder cannot be moved into itself: Projects/Sub"),
        ("Projects", "Inbox.md/Sub", False, "Parent path is not a folder: Inbox.md"),
    ],
)
def test_a_folder_move_that_cannot_be_is_refused(path, new_path, overwrite, error):
    result = refused(make_vault(), "vaultManager_moveFolder", path=path, newPath=new_path, overwrite=overwrite)
    assert result == {"path": path, "newPath": new_path, "error": error}
