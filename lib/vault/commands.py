"""The commandManager tools. A few commands change the vault (EFFECTS); the others are only noted as run."""

from lib.vault import files
from lib.vault.call import Context, ToolError
from lib.vault.memory import hint, iso
from lib.vault.state import Vault, Window

AWARENESS = hint("awareness", "Commands answer nothing: look at the vault afterwards, and say what was run.")


def list_commands(vault: Vault, args: dict, context: Context) -> dict:
    """The palette's commands, or those whose id or name holds the filter, without case."""
    part = args.get("filter", "").casefold()
    found = [item for item in vault.commands if part in item.id.casefold() or part in item.name.casefold()]
    return {
        "data": {
            "commands": [
                {"id": item.id, "name": item.name, **({"icon": item.icon} if item.icon else {})} for item in found
            ],
            "total": len(found),
        }
    }


def execute_command(vault: Vault, args: dict, context: Context) -> dict:
    """Runs a command by its exact id; the answer only repeats the id."""
    wanted = args["commandId"]
    if all(command.id != wanted for command in vault.commands):
        raise ToolError(f"Command with ID {wanted} not found")
    if wanted in EFFECTS:
        EFFECTS[wanted](vault)
    vault.commands_run += (wanted,)
    return {"data": {"commandId": wanted}, "recommendations": AWARENESS}


def _show(vault: Vault, path: str) -> None:
    """Puts a note in focus, in a tab of its own unless it has one."""
    tabs = vault.window.open
    if all(tab[0] != path for tab in tabs):
        tabs += ((path, "tab"),)
    vault.window = Window(tabs, path)


def _open_daily_note(vault: Vault) -> None:
    """Shows today's note, named by its date, in the root; makes an empty one if it is missing."""
    path = f"{iso(vault.now)[:10]}.md"
    if path in vault.folders:
        return
    if path not in vault.notes:
        files.create_file(vault, path, "")
    _show(vault, path)


def _new_note(vault: Vault) -> None:
    """Makes an empty Untitled note in the root and shows it."""
    path = files.free_path(vault, "Untitled.md")
    files.create_file(vault, path, "")
    _show(vault, path)


def _new_folder(vault: Vault) -> None:
    """Makes a folder Untitled in the root."""
    files.make_folder(vault, files.free_path(vault, "Untitled"))


def _copy_note(vault: Vault) -> None:
    """Copies the note in focus beside itself under a numbered name, and shows the copy."""
    note = vault.notes.get(vault.window.active)
    if note:
        path = files.free_path(vault, vault.window.active)
        files.create_file(vault, path, note.text, note.data)
        _show(vault, path)


def _delete_note(vault: Vault) -> None:
    """Deletes the note in focus."""
    if vault.window.active in vault.notes:
        files.remove(vault, vault.window.active)


def _insert_date(vault: Vault) -> None:
    """Adds today's date at the end of the note in focus, where the cursor is taken to be."""
    note = vault.notes.get(vault.window.active)
    if note and note.data is None:
        files.write_text(vault, vault.window.active, note.text + iso(vault.now)[:10])


def _close_tab(vault: Vault) -> None:
    """Closes the tab in focus."""
    tabs = tuple(tab for tab in vault.window.open if tab[0] != vault.window.active)
    vault.window = Window(tabs, tabs[-1][0] if tabs else "")


def _close_other_tabs(vault: Vault) -> None:
    """Closes every tab but the one in focus."""
    tabs = tuple(tab for tab in vault.window.open if tab[0] == vault.window.active)
    vault.window = Window(tabs, vault.window.active)


EFFECTS = {
    "app:delete-file": _delete_note,
    "daily-notes": _open_daily_note,
    "file-explorer:duplicate-file": _copy_note,
    "file-explorer:new-file": _new_note,
    "file-explorer:new-folder": _new_folder,
    "insert-current-date": _insert_date,
    "workspace:close": _close_tab,
    "workspace:close-others": _close_other_tabs,
}

TOOLS = {
    "commandManager_listCommands": list_commands,
    "commandManager_executeCommand": execute_command,
}
