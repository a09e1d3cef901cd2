"""The vaultManager tools: listing, making, moving and deleting folders and files."""

import fnmatch
import re

from lib.vault import files, patterns
from lib.vault.call import Context, ToolError
from lib.vault.paths import clean, is_inside, name_of, parent, parents, split_extension
from lib.vault.state import Vault, Window

MAX_COPIES = 999
LINK_CHECK = {
    "type": "link_check",
    "message": "Links to the old path are not rewritten; search for them and update those that matter.",
}
CUSTOMIZATION = {
    "type": "customization",
    "message": "The copy has the same text as its source; adapt title, dates and properties where needed.",
}


def list_directory(vault: Vault, args: dict, context: Context) -> dict:
    """The files (newest first) and folders (A to Z) of one folder, flattened down to `depth`."""
    folder = clean(args["path"])
    if folder and folder not in vault.folders:
        raise ToolError(f"Failed to list directory contents: Folder not found at path: {folder}")
    matches = _name_filter(args.get("filter"))
    paths, folders = files.children(vault, folder, depth=int(args.get("depth", 0)))
    files_only, folders_only = args.get("filesOnly", False), args.get("foldersOnly", False)
    data: dict = {}
    if files_only or (args.get("includeFiles", True) and not folders_only):
        kept = [(path, vault.notes[path]) for path in paths if matches(name_of(path))]
        kept.sort(key=lambda item: -item[1].modified)
        data["files"] = [
            {
                "name": name_of(path),
                "path": path,
                "size": note.size,
                "created": note.created,
                "modified": note.modified,
            }
            for path, note in kept
        ]
    if not files_only and (folders_only or args.get("includeFolders", True)):
        kept = sorted((path for path in folders if matches(name_of(path))), key=lambda path: (name_of(path), path))
        data["folders"] = [{"name": name_of(path), "path": path} for path in kept]
    file_count, folder_count = len(data.get("files", ())), len(data.get("folders", ()))
    data["summary"] = {
        "fileCount": file_count,
        "folderCount": folder_count,
        "totalItems": file_count + folder_count,
    }
    return {"data": data}


def _name_filter(text: str | None):
    """A test for names: regex if it is one, else glob; both without case."""
    if not text:
        return lambda name: True
    try:
        pattern = patterns.compile_regex(text)
    except ValueError as fault:
        raise ToolError(f"Failed to list directory contents: Invalid filter: {fault}") from None
    if pattern is None:
        return re.compile(fnmatch.translate(text), re.IGNORECASE).match
    return pattern.search


def create_folder(vault: Vault, args: dict, context: Context) -> dict:
    """Makes a folder and its parents; one that exists is a success that changes nothing."""
    path = _required(args["path"], "Path is required")
    if path in vault.notes:
        raise ToolError("Path exists but is not a folder")
    existed = path in vault.folders
    if not existed:
        files.make_folder(vault, path)
    return {"data": {"path": path, "existed": existed}}


def edit_folder(vault: Vault, args: dict, context: Context) -> dict:
    """Renames a folder as the file system would: no parents made, nothing overwritten."""
    path = _required(args["path"], "Path is required")
    new_path = _required(args["newPath"], "New path is required")
    fault = _rename_fault(vault, path, new_path)
    if fault:
        raise ToolError(f"Failed to rename folder: {fault}, rename '{path}' -> '{new_path}'")
    files.move(vault, path, new_path)
    return {"path": path, "newPath": new_path}


def _rename_fault(vault: Vault, path: str, new_path: str) -> str:
    if path not in vault.folders:
        return "ENOTDIR: not a directory" if path in vault.notes else "ENOENT: no such file or directory"
    if files.exists(vault, new_path):
        return "EEXIST: file already exists"
    if is_inside(new_path, path):
        return "EINVAL: invalid argument"
    if parent(new_path) in vault.notes:
        return "ENOTDIR: not a directory"
    return "" if files.exists(vault, parent(new_path)) else "ENOENT: no such file or directory"


def delete_folder(vault: Vault, args: dict, context: Context) -> dict:
    """Deletes a folder; with `recursive` also everything in it."""
    path = _required(args["path"], "Path is required")
    if path in vault.notes:
        raise ToolError("Path is not a folder", path=path)
    if path not in vault.folders:
        raise ToolError("Folder not found", path=path)
    if not args.get("recursive", False) and any(files.children(vault, path)):
        raise ToolError(f"Folder is not empty: {path}", path=path)
    files.remove(vault, path)
    return {"path": path}


def move_folder(vault: Vault, args: dict, context: Context) -> dict:
    """Moves a folder with all in it; parents of the destination are made."""
    path, new_path = clean(args["path"]), clean(args["newPath"])
    echo = {"path": path, "newPath": new_path}
    if path in vault.notes:
        raise ToolError(f"Path is not a folder: {path}", **echo)
    if path not in vault.folders:
        raise ToolError(f"Folder not found: {path or '/'}", **echo)
    if is_inside(new_path, path):
        raise ToolError(f"A folder cannot be moved into itself: {new_path}", **echo)
    _move(vault, path, new_path, args.get("overwrite", False), echo)
    return echo


def move_note(vault: Vault, args: dict, context: Context) -> dict:
    """Moves or renames one file; parents of the destination are made, no extension is added."""
    path, new_path = clean(args["path"]), clean(args["newPath"])
    echo = {"path": path, "newPath": new_path}
    _require_file(vault, path, echo)
    _move(vault, path, new_path, args.get("overwrite", False), echo)
    return {**echo, "recommendations": [LINK_CHECK]}


def _move(vault: Vault, path: str, new_path: str, overwrite: bool, echo: dict) -> None:
    if files.exists(vault, new_path):
        if not overwrite or _would_lose(path, new_path):
            raise ToolError(f"Destination already exists: {new_path or '/'}", **echo)
        files.remove(vault, new_path)
    _require_folders_above(vault, new_path, echo)
    files.move(vault, path, new_path)


def _would_lose(source: str, target: str) -> bool:
    """True when deleting the target would delete the source too."""
    return not target or target == source or is_inside(source, target)


def _require_folders_above(vault: Vault, path: str, echo: dict) -> None:
    for folder in parents(path):
        if folder in vault.notes:
            raise ToolError(f"Parent path is not a folder: {folder}", **echo)


def delete_note(vault: Vault, args: dict, context: Context) -> dict:
    """Deletes one file of any type."""
    path = clean(args["path"])
    _require_file(vault, path, {"path": path})
    files.remove(vault, path)
    return {"path": path}


def duplicate_note(vault: Vault, args: dict, context: Context) -> dict:
    """Copies one file; a taken target is numbered, replaced or refused as asked."""
    source, target = clean(args["sourcePath"]), clean(args["targetPath"])
    echo = {"sourcePath": source, "targetPath": target}
    _require_file(vault, source, echo)
    note = vault.notes[source]
    incremented = overwritten = False
    _require_folders_above(vault, target, echo)
    if files.exists(vault, target):
        if args.get("autoIncrement", False) and target:
            target, incremented = _free_name(vault, target, echo), True
        elif args.get("overwrite", False) and not _would_lose(source, target):
            files.remove(vault, target)
            overwritten = True
        else:
            raise ToolError(f"Target file already exists: {target or '/'}", **echo)
    files.create_file(vault, target, note.text, note.data)
    return {
        "sourcePath": source,
        "targetPath": target,
        "wasAutoIncremented": incremented,
        "wasOverwritten": overwritten,
        "recommendations": [CUSTOMIZATION],
    }


def _free_name(vault: Vault, target: str, echo: dict) -> str:
    """The first of "name copy.ext", "name copy 2.ext", ... that is free."""
    stem, extension = split_extension(target)
    for number in range(1, MAX_COPIES + 1):
        candidate = f"{stem} copy{'' if number == 1 else f' {number}'}{extension}"
        if not files.exists(vault, candidate):
            return clean(candidate)  # the longer name may be too long
    raise ToolError(f"No free name for a copy of: {target}", **echo)


def open_note(vault: Vault, args: dict, context: Context) -> dict:
    """Shows a file; only the window changes."""
    path = clean(args["path"])
    if path and not split_extension(path)[1]:
        path += ".md"
    if path not in vault.notes:
        raise ToolError(f"Note not found at path: {path}")
    mode = args.get("mode", "current")
    tabs, active = list(vault.window.open), vault.window.active
    current = next((index for index, tab in enumerate(tabs) if tab[0] == active), None)
    if mode == "current" and current is not None:
        tabs[current] = (path, tabs[current][1])
    else:
        tabs.append((path, "tab" if mode == "current" else mode))
    # A tab in the place of the one in focus has the focus, whatever `focus` says.
    focused = args.get("focus", True) or mode == "current" or not active
    vault.window = Window(tuple(tabs), path if focused else active)
    return {"data": {"path": path, "opened": True, "mode": mode}}


def _required(path: str, fault: str) -> str:
    cleaned = clean(path)
    if not cleaned:
        raise ToolError(fault)
    return cleaned


def _require_file(vault: Vault, path: str, echo: dict) -> None:
    if path in vault.notes:
        return
    if files.exists(vault, path):
        raise ToolError(f"Path is not a file: {path or '/'}", **echo)
    raise ToolError(f"File not found: {path}", **echo)


TOOLS = {
    "vaultManager_listDirectory": list_directory,
    "vaultManager_createFolder": create_folder,
    "vaultManager_editFolder": edit_folder,
    "vaultManager_deleteFolder": delete_folder,
    "vaultManager_moveFolder": move_folder,
    "vaultManager_deleteNote": delete_note,
    "vaultManager_moveNote": move_note,
    "vaultManager_duplicateNote": duplicate_note,
    "vaultManager_openNote": open_note,
}
