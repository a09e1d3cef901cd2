"""The vaultManager tools for single files: delete, move, duplicate, open."""

import pytest

from tests.vault_support import NOTES, call, make_vault, refused, succeeds

# ------------------------------------------------------------ deleteNote


def test_deleting_a_note_keeps_its_folder():
    vault = make_vault()
    assert succeeds(vault, "vaultManager_deleteNote", path="/Projects/Archive/Old.md") == {
        "path": "Projects/Archive/Old.md"
    }
    assert "Projects/Archive/Old.md" not in vault.notes
    assert "Projects/Archive" in vault.folders


def test_any_file_type_can_be_deleted():
    vault = make_vault(notes={"scan.png": {"base64": "AAEC"}})
    succeeds(vault, "vaultManager_deleteNote", path="scan.png")
    assert not vault.notes


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("Projects/plan.md", "File not found: Projects/plan.md"),
        ("Projects", "Path is not a file: Projects"),
        ("", "Path is not a file: /"),
    ],
)
def test_deleting_what_is_no_file_is_refused(path, error):
    assert refused(make_vault(), "vaultManager_deleteNote", path=path) == {"path": path, "error": error}


# ------------------------------------------------------------ moveNote


def test_moving_a_note_keeps_text_and_times_and_hints_at_links():
    vault = make_vault()
    before = vault.notes["Inbox.md"]
    result = succeeds(vault, "vaultManager_moveNote", path="Inbox.md", newPath="New/Deep/Inbox.md")
    [hint] = result.pop("recommendations")
    assert result == {"path": "Inbox.md", "newPath": "New/Deep/Inbox.md"}
    assert hint["type"] == "link_check"
    assert vault.notes["New/Deep/Inbox.md"] == before
    assert "New/Deep" in vault.folders


def test_moving_a_note_adds_no_extension():
    vault = make_vault()
    succeeds(vault, "vaultManager_moveNote", path="Inbox.md", newPath="Archive")
    assert "Archive" in vault.notes


def test_moving_with_overwrite_replaces_the_note_there():
    vault = make_vault()
    succeeds(vault, "vaultManager_moveNote", path="Inbox.md", newPath="Projects/Plan.md", overwrite=True)
    assert vault.notes["Projects/Plan.md"].text == NOTES["Inbox.md"]
    assert "Inbox.md" not in vault.notes


def test_moving_with_overwrite_onto_a_folder_deletes_that_folder():
    vault = make_vault()
    succeeds(vault, "vaultManager_moveNote", path="Inbox.md", newPath="Projects", overwrite=True)
    assert list(vault.notes) == ["Projects"]
    assert vault.folders == {"Empty"}


@pytest.mark.parametrize(
    ("path", "new_path", "overwrite", "error"),
    [
        ("Nope.md", "X.md", False, "File not found: Nope.md"),
        ("Projects", "X", False, "Path is not a file: Projects"),
        ("Inbox.md", "Projects/Plan.md", False, "Destination already exists: Projects/Plan.md"),
        ("Inbox.md", "Projects", False, "Destination already exists: Projects"),
        ("Inbox.md", "Inbox.md", True, "Destination already exists: Inbox.md"),
        ("Projects/Plan.md", "Projects", True, "Destination already exists: Projects"),
        ("Inbox.md", "Projects/Plan.md/x.md", False, "Parent path is not a folder: Projects/Plan.md"),
        ("Inbox.md", "Inbox.md/x.md", False, "Parent path is not a folder: Inbox.md"),
    ],
)
def test_a_note_move_that_cannot_be_is_refused(path, new_path, overwrite, error):
    result = refused(make_vault(), "vaultManager_moveNote", path=path, newPath=new_path, overwrite=overwrite)
    assert result == {"path": path, "newPath": new_path, "error": error}


# ------------------------------------------------------------ duplicateNote

COPY = "vaultManager_duplicateNote"


def test_a_duplicate_has_the_same_text_and_new_times():
    vault = make_vault()
    result = succeeds(vault, COPY, sourcePath="Inbox.md", targetPath="Copies/Inbox.md")
    [hint] = result.pop("recommendations")
    assert hint["type"] == "customization"
    assert result == {
        "sourcePath": "Inbox.md",
        "targetPath": "Copies/Inbox.md",
        "wasAutoIncremented": False,
        "wasOverwritten": False,
    }
    copy = vault.notes["Copies/Inbox.md"]
    assert (copy.text, copy.created, copy.modified) == (NOTES["Inbox.md"], vault.now, vault.now)


@pytest.mark.parametrize(
    ("taken", "final"),
    [
        (["T.md"], "T copy.md"),
        (["T.md", "T copy.md"], "T copy 2.md"),
        (["T.md", "T copy.md", "T copy 2.md"], "T copy 3.md"),
    ],
)
def test_auto_increment_takes_the_first_free_name_and_beats_overwrite(taken, final):
    vault = make_vault(notes={"S.md": "s", **dict.fromkeys(taken, "t")})
    result = succeeds(vault, COPY, sourcePath="S.md", targetPath="T.md", autoIncrement=True, overwrite=True)
    assert (result["targetPath"], result["wasAutoIncremented"], result["wasOverwritten"]) == (final, True, False)
    assert (vault.notes[final].text, vault.notes["T.md"].text) == ("s", "t")


def test_auto_increment_leaves_a_free_target_as_it_is():
    result = succeeds(make_vault(), COPY, sourcePath="Inbox.md", targetPath="T", autoIncrement=True)
    assert (result["targetPath"], result["wasAutoIncremented"]) == ("T", False)


def test_auto_increment_numbers_a_name_without_extension():
    vault = make_vault(notes={"v1.2/S": "s"})
    result = succeeds(vault, COPY, sourcePath="v1.2/S", targetPath="v1.2/S", autoIncrement=True)
    assert result["targetPath"] == "v1.2/S copy"


def test_auto_increment_gives_up_after_999_copies():
    taken = ["T.md", "T copy.md", *(f"T copy {number}.md" for number in range(2, 1000))]
    vault = make_vault(notes={"S.md": "s", **dict.fromkeys(taken, "")})
    error = refused(vault, COPY, sourcePath="S.md", targetPath="T.md", autoIncrement=True)["error"]
    assert error == "No free name for a copy of: T.md"


def test_overwrite_replaces_the_target():
    vault = make_vault()
    result = succeeds(vault, COPY, sourcePath="Inbox.md", targetPath="Projects/Plan.md", overwrite=True)
    assert result["wasOverwritten"] is True
    assert vault.notes["Projects/Plan.md"].text == NOTES["Inbox.md"]


@pytest.mark.parametrize(
    ("source", "target", "flags", "error"),
    [
        ("Nope.md", "X.md", {}, "File not found: Nope.md"),
        ("Projects", "X", {}, "Path is not a file: Projects"),
        ("Inbox.md", "Projects/Plan.md", {}, "Target file already exists: Projects/Plan.md"),
        ("Inbox.md", "Inbox.md", {"overwrite": True}, "Target file already exists: Inbox.md"),
        ("Projects/Plan.md", "Projects", {"overwrite": True}, "Target file already exists: Projects"),
        ("Inbox.md", "", {"autoIncrement": True}, "Target file already exists: /"),
        ("Inbox.md", "Inbox.md/x", {}, "Parent path is not a folder: Inbox.md"),
    ],
)
def test_a_duplicate_that_cannot_be_is_refused(source, target, flags, error):
    result = refused(make_vault(), COPY, sourcePath=source, targetPath=target, **flags)
    assert result == {"sourcePath": source, "targetPath": target, "error": error}


# ------------------------------------------------------------ openNote

OPEN = "vaultManager_openNote"


def test_opening_a_note_shows_it_and_changes_no_file():
    vault = make_vault()
    before = dict(vault.notes)
    assert succeeds(vault, OPEN, path="Projects/Plan.md") == {
        "data": {"path": "Projects/Plan.md", "opened": True, "mode": "current"}
    }
    assert vault.notes == before
    assert vault.window.active == "Projects/Plan.md"


def test_opening_adds_md_to_a_name_without_extension():
    assert succeeds(make_vault(), OPEN, path="Inbox")["data"]["path"] == "Inbox.md"


def test_mode_current_takes_the_place_of_the_note_in_focus():
    vault = make_vault()
    call(vault, OPEN, path="Inbox.md")
    call(vault, OPEN, path="Projects/Plan.md", mode="split")
    call(vault, OPEN, path="Projects/Archive/Old.md")
    assert vault.window.open == (("Inbox.md", "tab"), ("Projects/Archive/Old.md", "split"))


@pytest.mark.parametrize("mode", ["tab", "split", "window"])
def test_other_modes_open_beside_and_focus_false_leaves_the_focus(mode):
    vault = make_vault()
    call(vault, OPEN, path="Inbox.md")
    assert succeeds(vault, OPEN, path="Projects/Plan.md", mode=mode, focus=False)["data"]["mode"] == mode
    assert vault.window.open == (("Inbox.md", "tab"), ("Projects/Plan.md", mode))
    assert vault.window.active == "Inbox.md"


def test_open_notes_follow_a_move_and_close_with_a_deletion():
    vault = make_vault()
    call(vault, OPEN, path="Inbox.md")
    call(vault, OPEN, path="Projects/Plan.md", mode="tab")
    call(vault, "vaultManager_editFolder", path="Projects", newPath="Work")
    assert (vault.window.open[1][0], vault.window.active) == ("Work/Plan.md", "Work/Plan.md")
    call(vault, "vaultManager_deleteFolder", path="Work", recursive=True)
    assert (vault.window.open, vault.window.active) == ((("Inbox.md", "tab"),), "Inbox.md")


@pytest.mark.parametrize(
    ("path", "shown"), [("Nope", "Nope.md"), ("Nope.txt", "Nope.txt"), ("Projects", "Projects.md"), ("", "")]
)
def test_opening_what_is_not_there_is_refused(path, shown):
    assert refused(make_vault(), OPEN, path=path) == {"error": f"Note not found at path: {shown}"}
