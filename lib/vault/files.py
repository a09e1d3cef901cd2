"""Changes to the vault's files and folders, which the tools build on; paths come from paths.clean."""

import dataclasses
import itertools
import posixpath

from lib.vault.call import ToolError
from lib.vault.paths import is_inside, parent, parents
from lib.vault.state import Note, Vault, Window

MAX_TEXT = 16 * 1024 * 1024  # characters of one file


def exists(vault: Vault, path: str) -> bool:
    """True for a file, a folder and the root."""
    return not path or path in vault.notes or path in vault.folders


def free_path(vault: Vault, path: str) -> str:
    """The path itself when nothing is there, else the first of "name 1.ext", "name 2.ext", ... that is free."""
    stem, extension = posixpath.splitext(path)
    numbered = (f"{stem} {number}{extension}" for number in itertools.count(1))
    return next(candidate for candidate in itertools.chain((path,), numbered) if not exists(vault, candidate))


def make_folder(vault: Vault, path: str) -> None:
    """Makes a folder and those above it; refused below a file."""
    chain = [path, *parents(path)] if path else []
    for folder in chain:
        if folder in vault.notes:
            raise ToolError(f"Parent path is not a folder: {folder}")
    vault.folders.update(chain)


def make_parents(vault: Vault, path: str) -> None:
    """Makes the folders above a path."""
    make_folder(vault, parent(path))


def create_file(vault: Vault, path: str, text: str, data: bytes | None = None) -> Note:
    """The new file, which must not exist yet; parents are made."""
    make_parents(vault, path)
    note = Note(text, created=vault.now, modified=vault.now, data=data)
    vault.notes[path] = note
    return note


def write_text(vault: Vault, path: str, text: str) -> None:
    """Gives an existing file a new text; the same text again leaves it untouched."""
    refuse_long(path, len(text))
    note = vault.notes[path]
    if note.text != text or note.data is not None:
        vault.notes[path] = Note(text, created=note.created, modified=vault.now)


def refuse_long(path: str, length: int) -> None:
    """Raises ToolError when a text of this length is too long for one file."""
    if length > MAX_TEXT:
        raise ToolError(f"The text would be longer than {MAX_TEXT} characters: {path}")


def remove(vault: Vault, path: str) -> None:
    """Deletes a file, or a folder with everything below it, and closes its tabs."""
    if vault.notes.pop(path, None) is None:
        vault.folders.discard(path)
        for folder in [folder for folder in vault.folders if is_inside(folder, path)]:
            vault.folders.discard(folder)
        for note in [note for note in vault.notes if is_inside(note, path)]:
            del vault.notes[note]
    tabs = tuple(tab for tab in vault.window.open if tab[0] != path and not is_inside(tab[0], path))
    if len(tabs) != len(vault.window.open):
        kept = {tab[0] for tab in tabs}
        active = vault.window.active
        vault.window = Window(tabs, active if active in kept else (tabs[-1][0] if tabs else ""))


def move(vault: Vault, path: str, new_path: str) -> None:
    """Moves a file, or a folder with everything below it, to a free path; parents are made, tabs follow."""

    def moved(old: str) -> str:
        return new_path + old[len(path) :] if old == path or is_inside(old, path) else old

    make_parents(vault, new_path)
    if path in vault.notes:
        vault.notes[new_path] = vault.notes.pop(path)
    else:
        vault.notes = {moved(old): note for old, note in vault.notes.items()}
        vault.folders = {moved(old) for old in vault.folders}
    tabs = tuple((moved(old), mode) for old, mode in vault.window.open)
    vault.window = dataclasses.replace(vault.window, open=tabs, active=moved(vault.window.active))


def children(vault: Vault, folder: str, depth: int = 0) -> tuple[list[str], list[str]]:
    """(files, folders) below a folder, down to `depth` levels under its direct children; both sorted by path."""
    start = len(folder) + 1 if folder else 0

    def near(path: str) -> bool:
        return is_inside(path, folder) and path.count("/", start) <= depth

    return sorted(filter(near, vault.notes)), sorted(filter(near, vault.folders))
