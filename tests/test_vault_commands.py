"""The two commandManager tools and what the commands do."""

import pytest

from lib.vault.commands import EFFECTS
from lib.vault.defaults import COMMANDS
from tests.vault_memory_support import kinds
from tests.vault_support import NOTES, make_vault, refused, succeeds

PALETTE = [{"id": "app:reload", "name": "Reload app"}, {"id": "graph:open", "name": "Show Graph", "icon": "git-fork"}]


def run(vault, command):
    """Runs a command on a vault and gives the vault back."""
    succeeds(vault, "commandManager_executeCommand", commandId=command)
    return vault


def showing(path, *others, **parts):
    """A vault with tabs open, the first path in focus."""
    window = {"open": [[tab, "tab"] for tab in (*others, path)], "active": path}
    return make_vault(**{"window": window, **parts})


# ------------------------------------------------------------ listCommands


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ({}, ["app:reload", "graph:open"]),
        ({"filter": "GRAPH"}, ["graph:open"]),
        ({"filter": "reload APP"}, ["app:reload"]),
        ({"filter": "app:"}, ["app:reload"]),
        ({"filter": ""}, ["app:reload", "graph:open"]),
        ({"filter": "nothing"}, []),
    ],
)
def test_the_filter_looks_at_ids_and_names_without_case(arguments, ids):
    data = succeeds(make_vault(commands=PALETTE), "commandManager_listCommands", **arguments)["data"]
    assert [command["id"] for command in data["commands"]] == ids
    assert data["total"] == len(ids)


def test_a_command_is_listed_with_its_icon_if_it_has_one():
    data = succeeds(make_vault(commands=PALETTE), "commandManager_listCommands")["data"]
    assert data["commands"] == PALETTE


def test_the_default_palette_has_distinct_ids_and_holds_every_command_with_an_effect():
    ids = [command.id for command in COMMANDS]
    assert len(set(ids)) == len(ids) >= 25
    assert set(EFFECTS) <= set(ids)


# ------------------------------------------------------------ executeCommand


def test_running_a_command_repeats_its_id_and_is_noted():
    vault = make_vault(commands=PALETTE)
    result = succeeds(vault, "commandManager_executeCommand", commandId="graph:open")
    assert result["data"] == {"commandId": "graph:open"}
    assert kinds(result["recommendations"]) == ["awareness"]
    assert vault.commands_run == ("graph:open",)


@pytest.mark.parametrize("wanted", ["graph:close", "Graph:open", "Show Graph", ""])
def test_a_command_the_palette_does_not_hold_is_refused(wanted):
    result = refused(make_vault(commands=PALETTE), "commandManager_executeCommand", commandId=wanted)
    assert result == {"error": f"Command with ID {wanted} not found"}


@pytest.mark.parametrize("command", sorted({command.id for command in COMMANDS} - set(EFFECTS)))
def test_a_command_without_an_effect_changes_no_note(command):
    vault = run(showing("Inbox.md"), command)
    assert (vault.notes, vault.window) == (showing("Inbox.md").notes, showing("Inbox.md").window)


@pytest.mark.parametrize("command", sorted(EFFECTS))
def test_commands_on_the_note_in_focus_do_nothing_without_one(command):
    vault = run(make_vault(), command)
    assert {path: vault.notes[path].text for path in NOTES} == NOTES


def test_the_daily_note_is_made_once_and_shown():
    vault = run(make_vault(now="2025-11-03T09:00:00Z"), "daily-notes")
    assert vault.notes["2025-11-03.md"].text == ""
    assert vault.window.active == "2025-11-03.md"
    succeeds(vault, "contentManager_appendContent", filePath="2025-11-03.md", content="rain")
    run(vault, "daily-notes")
    assert vault.notes["2025-11-03.md"].text == "rain"
    assert vault.window.open == (("2025-11-03.md", "tab"),)


def test_a_folder_named_like_the_daily_note_is_left_alone():
    vault = run(make_vault(now="2025-11-03T09:00:00Z", folders=["2025-11-03.md"]), "daily-notes")
    assert "2025-11-03.md" not in vault.notes


def test_new_notes_and_folders_get_free_names_in_the_root():
    vault = make_vault()
    for command in ("file-explorer:new-file", "file-explorer:new-folder") * 2:
        run(vault, command)
    assert {"Untitled.md", "Untitled 1.md"} <= set(vault.notes)
    assert {"Untitled", "Untitled 1"} <= vault.folders
    assert vault.window.active == "Untitled 1.md"


def test_the_note_in_focus_is_copied_beside_itself():
    vault = run(showing("Projects/Plan.md"), "file-explorer:duplicate-file")
    assert vault.notes["Projects/Plan 1.md"].text == NOTES["Projects/Plan.md"]
    assert vault.window.active == "Projects/Plan 1.md"


def test_the_note_in_focus_is_deleted_with_its_tab():
    vault = run(showing("Inbox.md", "Projects/Plan.md"), "app:delete-file")
    assert "Inbox.md" not in vault.notes
    assert vault.window.active == "Projects/Plan.md"


def test_the_date_goes_to_the_end_of_the_note_in_focus():
    vault = run(showing("Inbox.md", now="2025-11-03T09:00:00Z"), "insert-current-date")
    assert vault.notes["Inbox.md"].text == NOTES["Inbox.md"] + "2025-11-03"


def test_closing_tabs_keeps_the_others_or_the_one_in_focus():
    assert run(showing("Inbox.md", "Projects/Plan.md"), "workspace:close").window.open == (("Projects/Plan.md", "tab"),)
    assert run(showing("Inbox.md", "Projects/Plan.md"), "workspace:close-others").window.open == (("Inbox.md", "tab"),)
    assert run(showing("Inbox.md"), "workspace:close").window.active == ""
