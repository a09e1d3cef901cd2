"""Vaults from and to folders on disk: files as they are, everything else in .vault/state.json."""

import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

from lib.errors import CannotRun
from lib.vault import defaults
from lib.vault.fixture import add_window, vault_from_dict, vault_to_dict
from lib.vault.paths import parents, path_fault
from lib.vault.records import time_of, typed
from lib.vault.state import Note, Vault

MAX_FILE = 16 * 1024 * 1024
MAX_TOTAL = 512 * 1024 * 1024
MAX_ENTRIES = 100_000
STATE_FOLDER = ".vault"
STATE_FILE = f"{STATE_FOLDER}/state.json"
TIME_SLACK = 2_500  # ms; some file systems keep times in steps of two seconds


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def load_folder(path: str | Path, report: Callable[[str], None] = _to_stderr) -> Vault:
    """The vault a folder holds; `report` gets a line for each entry left out (links, hidden and unsafe names).

    Text keeps its exact characters and line ends; a file that is no UTF-8 text is kept as bytes.
    """
    root = Path(path)
    if root.is_symlink() or not root.is_dir():
        what = "is a link" if root.is_symlink() else "is no folder" if root.exists() else "does not exist"
        raise CannotRun(f"{root}: {what}; name the folder that holds the vault.")
    stored = _read_state(root)
    notes: dict[str, Note] = {}
    folders: list[str] = []
    total = 0
    for relative, entry, fault in _entries(root):
        if fault:
            report(f"{root / relative}: left out, {fault}")
        elif entry.is_dir(follow_symlinks=False):
            folders.append(relative)
        else:
            notes[relative] = _read_note(root / relative)
            total += notes[relative].size
        if total > MAX_TOTAL or len(notes) + len(folders) > MAX_ENTRIES:
            raise CannotRun(
                f"{root}: too large for a vault in memory (limits: {MAX_TOTAL >> 20} MB, {MAX_ENTRIES} entries)."
            )
    try:
        return _assembled(stored, notes, folders)
    except CannotRun as fault:
        text = fault.message.removeprefix("fixture: ")
        raise CannotRun(f"{root / STATE_FILE}: {text} Delete it to start with fresh sessions.") from None


def _assembled(stored: dict, notes: dict[str, Note], folders: list[str]) -> Vault:
    """The vault of a stored state and the files found; a file changed by somebody else keeps its new time."""
    newest = max((note.modified for note in notes.values()), default=time_of(defaults.NOW, "now"))
    times, window = typed(stored.pop("notes", {}), dict, "notes"), stored.pop("window", {})
    vault = vault_from_dict({"now": newest, **stored, "folders": folders})
    for path, note in sorted(notes.items()):
        if path in times:
            created, modified = _two_times(times[path], path)
            if abs(modified - note.modified) <= TIME_SLACK:
                note = with_fields(note, created=created, modified=modified)
        vault.notes[path] = note
    add_window(vault, typed(window, dict, "window"))
    return vault


def _two_times(times: Any, path: str) -> list[int]:
    if isinstance(times, list) and len(times) == 2 and all(type(time) is int for time in times):
        return times
    raise CannotRun(f"notes: {path}: not [created, modified] in ms.")


def _entries(root: Path) -> Iterator[tuple[str, os.DirEntry, str]]:
    """(path in the vault, entry, why it is no part of the vault or "") for all below root, sorted by path."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise CannotRun(f"{root / folder}: cannot be read ({error.strerror}).") from error
        for entry in entries:
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if relative == STATE_FOLDER:
                continue
            fault = _entry_fault(relative, entry)
            yield relative, entry, fault
            if not fault and entry.is_dir(follow_symlinks=False):
                waiting.append(relative)


def _entry_fault(relative: str, entry: os.DirEntry) -> str:
    if entry.is_symlink() or _is_junction(entry):
        return "a link could lead out of the vault"
    if entry.name.startswith("."):
        return "hidden"
    if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
        return "neither file nor folder"
    fault = path_fault(relative)
    return f"its path {fault}" if fault else ""


def _is_junction(entry: os.DirEntry) -> bool:
    """True for a Windows junction, which leads elsewhere without being a symlink."""
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0))


def _read_note(path: Path) -> Note:
    try:
        # Not through a link that took the file's place since it was looked at.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            data = file.read(MAX_FILE + 1)
            modified = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
    except OSError as error:
        raise CannotRun(f"{path}: cannot be read ({error.strerror}).") from error
    if len(data) > MAX_FILE:
        raise CannotRun(f"{path}: larger than {MAX_FILE >> 20} MB; move it out of the vault.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Note("", modified, modified, data)
    return Note("", modified, modified, data) if "\0" in text else Note(text, modified, modified)


def _read_state(root: Path) -> dict:
    """What .vault/state.json holds, {} when there is none."""
    path = root / STATE_FILE
    if (root / STATE_FOLDER).is_symlink() or path.is_symlink():
        raise CannotRun(f"{path}: is a link; the vault's own state is never read through one.")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CannotRun(f"{path}: cannot be read ({error}); delete it to start with fresh sessions.") from error
    if not isinstance(stored, dict):
        raise CannotRun(f"{path}: holds no object; delete it to start with fresh sessions.")
    return stored


def save_folder(vault: Vault, path: str | Path, replace: bool = False) -> None:
    """Writes the vault as a folder: built beside it first, then put in its place.

    A folder that is neither empty nor a vault saved before is refused unless `replace` is true.
    Entries that load_folder leaves out (hidden ones, links) stay where they are.
    """
    root = Path(os.path.abspath(path))
    _check_target(root, replace)
    root.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        _write_tree(vault, staging / "new")
        _put_in_place(staging / "new", root, staging / "old")
    except OSError as error:
        raise CannotRun(f"{error.filename or root}: the vault cannot be saved ({error.strerror}).") from error
    finally:
        shutil.rmtree(staging / "new", ignore_errors=True)
        if not (staging / "old").exists():
            shutil.rmtree(staging, ignore_errors=True)


def _check_target(root: Path, replace: bool) -> None:
    if root.is_symlink():
        raise CannotRun(f"{root}: is a link; name the folder itself.")
    if root.exists() and not root.is_dir():
        raise CannotRun(f"{root}: is a file; name a folder for the vault.")
    if replace or not root.is_dir() or not any(root.iterdir()):
        return
    if not (root / STATE_FILE).is_file():
        raise CannotRun(f"{root}: holds files that no vault was saved to; name a new or empty folder.")


def _write_tree(vault: Vault, root: Path) -> None:
    """All of the vault below a folder that does not exist yet, so that no link can be in the way."""
    root.mkdir()
    folders = vault.folders.union(*(parents(path) for path in vault.notes))
    for folder in sorted(folders):
        _refuse_unsafe(folder)
        (root / folder).mkdir()
    for path, note in sorted(vault.notes.items()):
        _refuse_unsafe(path)
        # Exclusive, because two names that differ in case can be one on this disk.
        with open(root / path, "xb") as file:
            file.write(note.bytes)
        os.utime(root / path, ns=(note.modified * 1_000_000, note.modified * 1_000_000))
    stored = vault_to_dict(vault)
    stored["notes"] = {path: [note.created, note.modified] for path, note in sorted(vault.notes.items())}
    del stored["folders"]
    state = root / STATE_FILE
    state.parent.mkdir()
    state.write_text(json.dumps(stored, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")


def _refuse_unsafe(path: str) -> None:
    """A vault built by hand may hold any path; none that leaves the folder is written."""
    fault = path_fault(path) if path and not path.startswith("/") else "is absolute or empty"
    if fault:
        raise CannotRun(f"{path!r}: cannot be saved, the path {fault}.")


def _put_in_place(new: Path, root: Path, old: Path) -> None:
    """Swaps the new tree for the old one, then brings back what is no part of the vault and drops the rest."""
    if not root.exists():
        os.rename(new, root)
        return
    kept = [relative for relative, _, fault in _entries(root) if fault]
    for relative in kept:
        if os.path.lexists(new / relative) or any((new / folder).is_file() for folder in parents(relative)):
            raise CannotRun(f"{root / relative}: is no part of the vault and in the way of one of its notes; move it.")
    os.rename(root, old)
    try:
        os.rename(new, root)
    except OSError:
        os.rename(old, root)
        raise
    try:
        for relative in kept:
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
            os.rename(old / relative, root / relative)
    except OSError as error:
        raise CannotRun(
            f"{root}: saved, but not all hidden files came along ({error.strerror}); the former folder is {old}."
        ) from error
    shutil.rmtree(old)
