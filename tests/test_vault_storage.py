"""Vaults in folders: exact round trips, nothing read or written outside, whole or not at all."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.errors import CannotRun
from lib.vault import storage
from lib.vault.call import ToolError
from lib.vault.compare import digest
from lib.vault.paths import clean
from lib.vault.state import Note, Vault
from lib.vault.storage import load_folder, save_folder
from tests.vault_support import call, make_vault


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def loaded(folder: Path) -> tuple[Vault, list[str]]:
    """A vault and the lines reported while loading it."""
    lines: list[str] = []
    return load_folder(folder, lines.append), lines


# ------------------------------------------------------------ round trip


def test_a_saved_vault_loads_as_the_same_vault(tmp_path):
    notes = {
        "crlf.md": "a\r\nb\r\n",
        "mixed.md": "a\r\nb\nc\rd",
        "none.md": "",
        "bom.md": "\ufeffx",
        "Über/日記 🎉.md": "ä\u2028é",
        "scan.png": {"base64": "AAEC/w=="},
    }
    vault = make_vault(notes=notes, agents=[{"name": "A", "description": "d", "prompt": "p"}])
    call(vault, "vaultManager_openNote", path="crlf.md")
    call(vault, "contentManager_appendContent", filePath="none.md", content="late")
    save_folder(vault, tmp_path / "v")
    again, lines = loaded(tmp_path / "v")
    assert lines == []
    assert again == vault
    assert digest(again) == digest(vault)
    assert (tmp_path / "v/crlf.md").read_bytes() == b"a\r\nb\r\n"
    assert (tmp_path / "v/Empty").is_dir()


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(". ~%:"), min_size=1, max_size=12)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(PATHS, st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=5))
def test_any_text_under_any_clean_path_survives_a_round_trip(tmp_path_factory, drawn):
    vault = make_vault(notes={}, folders=[])
    for path, text in drawn.items():
        try:
            clean(path)
        except ToolError:
            continue
        call(vault, "contentManager_createContent", filePath=path, content=text)
    folder = tmp_path_factory.mktemp("round")
    save_folder(vault, folder)
    again, lines = loaded(folder)
    stored = {path: note.bytes for path, note in again.notes.items()}
    assert stored == {path: note.bytes for path, note in vault.notes.items()}
    assert again.folders == vault.folders
    assert lines == []


def test_loading_and_saving_changes_no_byte_of_a_folder_of_markdown(tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "Deep/er").mkdir(parents=True)
    (source / "Deep/er/a.md").write_bytes(b"x\r\n\ty")
    (source / "latin.md").write_bytes(b"caf\xe9")
    (source / "zero.bin").write_bytes(b"a\0b")
    vault, _ = loaded(source)
    save_folder(vault, copy)
    assert {path: data for path, data in files_in(copy).items() if path != ".vault/state.json"} == files_in(source)
    assert files_in(source).keys() == {"Deep/er/a.md", "latin.md", "zero.bin"}


def test_bytes_that_are_no_text_are_kept_and_not_offered_as_text(tmp_path):
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    vault, _ = loaded(tmp_path)
    assert vault.notes["latin.md"].bytes == b"caf\xe9"
    assert call(vault, "contentManager_readContent", filePath="latin.md")["error"] == "Not a text file: latin.md"


def test_a_file_changed_by_somebody_else_takes_its_new_time(tmp_path):
    save_folder(make_vault(), tmp_path / "v")
    os.utime(tmp_path / "v/Inbox.md", (2_000_000_000, 2_000_000_000))
    vault, _ = loaded(tmp_path / "v")
    assert vault.notes["Inbox.md"].modified == 2_000_000_000_000


def test_a_tab_of_a_deleted_file_is_closed(tmp_path):
    vault = make_vault()
    call(vault, "vaultManager_openNote", path="Inbox.md")
    save_folder(vault, tmp_path / "v")
    (tmp_path / "v/Inbox.md").unlink()
    again, _ = loaded(tmp_path / "v")
    assert (again.window.open, again.window.active) == ((), "")


# ------------------------------------------------------------ nothing outside


def test_links_are_left_out_with_a_message(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    folder = tmp_path / "v"
    folder.mkdir()
    (folder / "a.md").write_text("a")
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "dir").symlink_to(outside, target_is_directory=True)
    (folder / "broken.md").symlink_to("nowhere")
    vault, lines = loaded(folder)
    assert list(vault.notes) == ["a.md"]
    assert vault.folders == set()
    assert len(lines) == 3 and all("link" in line for line in lines)


def test_hidden_and_unsafe_names_are_left_out_with_a_message(tmp_path):
    for name in (".obsidian/app.json", "a/.DS_Store", "back\\slash.md", "con.md", "a.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    os.mkfifo(tmp_path / "pipe.md")
    vault, lines = loaded(tmp_path)
    assert (list(vault.notes), vault.folders) == (["a.md"], {"a"})
    assert len(lines) == 5


def test_messages_go_to_stderr_when_nobody_listens(tmp_path, capsys):
    (tmp_path / ".hidden").write_text("x")
    load_folder(tmp_path)
    assert ".hidden: left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "path", ["../out.md", "/etc/out.md", "a/../../out.md", "C:\\out.md", "x\0y", "", ".vault/state.json"]
)
def test_a_vault_built_by_hand_with_an_unsafe_path_is_not_written(tmp_path, path):
    vault = make_vault()
    vault.notes[path] = Note("x", 1, 1)
    with pytest.raises(CannotRun, match="cannot be saved"):
        save_folder(vault, tmp_path / "in/v")
    assert files_in(tmp_path) == {}
    assert list((tmp_path / "in").iterdir()) == []


def test_saving_never_writes_through_a_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "v"
    save_folder(make_vault(), folder)
    (folder / "Inbox.md").unlink()
    (folder / "Inbox.md").symlink_to(outside / "note.md")
    (folder / "New").symlink_to(outside, target_is_directory=True)
    vault = make_vault()
    call(vault, "contentManager_createContent", filePath="Made/x.md", content="x")
    with pytest.raises(CannotRun, match="in the way"):
        save_folder(vault, folder)
    (folder / "Inbox.md").unlink()
    save_folder(vault, folder)
    assert list(outside.iterdir()) == []
    assert (folder / "New").is_symlink()
    assert (folder / "Made/x.md").read_text() == "x"


@pytest.mark.parametrize("place", [".vault", ".vault/state.json"])
def test_the_stored_state_is_not_read_through_a_link(tmp_path, place):
    outside = tmp_path / "outside"
    save_folder(make_vault(), outside)
    folder = tmp_path / "v"
    (folder / place).parent.mkdir(parents=True)
    (folder / place).symlink_to(outside / place)
    with pytest.raises(CannotRun, match="is a link"):
        load_folder(folder)


# ------------------------------------------------------------ whole or not at all


def test_saving_again_replaces_the_vault_and_keeps_what_is_not_its_own(tmp_path):
    folder = tmp_path / "v"
    save_folder(make_vault(), folder)
    (folder / ".obsidian").mkdir()
    (folder / ".obsidian/app.json").write_text("{}")
    (folder / "Projects/.DS_Store").write_text("x")
    vault, _ = loaded(folder)
    call(vault, "vaultManager_deleteNote", path="Inbox.md")
    call(vault, "vaultManager_deleteFolder", path="Empty")
    save_folder(vault, folder)
    assert set(files_in(folder)) == {
        ".obsidian/app.json",
        ".vault/state.json",
        "Projects/.DS_Store",
        "Projects/Archive/Old.md",
        "Projects/Plan.md",
    }
    assert not (folder / "Empty").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_failure_while_writing_leaves_the_old_vault(tmp_path, monkeypatch):
    folder = tmp_path / "v"
    save_folder(make_vault(), folder)
    before = files_in(folder)

    def no_space(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "utime", no_space)
    vault = make_vault(notes={"Other.md": "x"})
    with pytest.raises(CannotRun, match="No space left on device"):
        save_folder(vault, folder)
    assert files_in(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


def test_a_failure_while_swapping_leaves_the_old_vault(tmp_path, monkeypatch):
    folder = tmp_path / "v"
    save_folder(make_vault(), folder)
    before, rename = files_in(folder), os.rename

    def second_fails(source, target):
        if Path(source).name == "new":
            raise OSError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(storage.os, "rename", second_fails)
    with pytest.raises(CannotRun, match="Permission denied"):
        save_folder(make_vault(notes={"Other.md": "x"}), folder)
    assert files_in(folder) == before


def test_hidden_files_that_cannot_come_along_are_kept_and_named(tmp_path, monkeypatch):
    folder = tmp_path / "v"
    save_folder(make_vault(), folder)
    (folder / ".obsidian").mkdir()
    rename = os.rename

    def hidden_fails(source, target):
        if Path(source).name == ".obsidian":
            raise OSError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(storage.os, "rename", hidden_fails)
    with pytest.raises(CannotRun, match="the former folder is ") as refusal:
        save_folder(make_vault(), folder)
    former = Path(refusal.value.message.rsplit(" ", 1)[1].rstrip("."))
    assert (former / ".obsidian").is_dir()


# ------------------------------------------------------------ refusals


def test_a_folder_with_files_of_somebody_else_is_not_replaced_unasked(tmp_path):
    (tmp_path / "thesis.md").write_text("years of work")
    with pytest.raises(CannotRun, match="holds files"):
        save_folder(make_vault(), tmp_path)
    vault, _ = loaded(tmp_path)
    save_folder(vault, tmp_path, replace=True)
    assert (tmp_path / "thesis.md").read_text() == "years of work"


def test_places_that_cannot_be_a_vault_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    for load, words in (("file", "is no folder"), ("none", "does not exist"), ("link", "is a link")):
        with pytest.raises(CannotRun, match=words):
            load_folder(tmp_path / load)
    for save, words in (("file", "is a file"), ("link", "is a link")):
        with pytest.raises(CannotRun, match=words):
            save_folder(make_vault(), tmp_path / save)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "holds no object"),
        ('{"notes": []}', "notes: a list where a dict is expected"),
        ('{"notes": {"a.md": "x"}}', "notes: a.md"),
        ('{"sessions": 3}', "sessions: a int where a list is expected"),
        ('{"other": 3}', "unknown key 'other'"),
    ],
)
def test_a_damaged_state_file_is_named(tmp_path, text, words):
    (tmp_path / "a.md").write_text("a")
    (tmp_path / ".vault").mkdir()
    (tmp_path / ".vault/state.json").write_text(text)
    with pytest.raises(CannotRun) as refusal:
        load_folder(tmp_path)
    assert words in refusal.value.message
    assert "state.json" in refusal.value.message


def test_a_file_or_a_folder_that_is_too_large_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.md").write_text("x" * 11)
    (tmp_path / "b.md").write_text("x" * 5)
    monkeypatch.setattr(storage, "MAX_FILE", 10)
    with pytest.raises(CannotRun, match="a.md: larger than"):
        load_folder(tmp_path)
    monkeypatch.setattr(storage, "MAX_FILE", 100)
    monkeypatch.setattr(storage, "MAX_TOTAL", 15)
    with pytest.raises(CannotRun, match="too large"):
        load_folder(tmp_path)
    monkeypatch.setattr(storage, "MAX_TOTAL", 100)
    monkeypatch.setattr(storage, "MAX_ENTRIES", 1)
    with pytest.raises(CannotRun, match="too large"):
        load_folder(tmp_path)


def test_the_state_file_holds_no_note_text(tmp_path):
    save_folder(make_vault(), tmp_path / "v")
    stored = json.loads((tmp_path / "v/.vault/state.json").read_text(encoding="utf-8"))
    assert all(len(times) == 2 for times in stored["notes"].values())
    assert "second step" not in json.dumps(stored)
