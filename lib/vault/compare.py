"""Two vaults compared: a digest of the content, and a readable list of what changed."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any

from lib.vault.files import children
from lib.vault.paths import is_inside, parent
from lib.vault.records import camel, to_dict
from lib.vault.state import Note, Vault

EXCERPT_LINES = 12
LINE_WIDTH = 160
MAX_DIFF = 1_000_000  # characters; a line diff of more takes too long
# Fields that every run fills differently: they tell when and in which order, not what.
VOLATILE_FIELDS = ("id", "created", "modified", "lastAccessed", "timestamp", "ended", "workspaceId", "sessionId")


@dataclass(frozen=True)
class Change:
    """One difference: `kind` like note-moved, `subject` a path or name, `detail` text for people."""

    kind: str
    subject: str
    detail: str = ""


def digest(vault: Vault, volatile: bool = True) -> str:
    """sha256 over the vault's content in a canonical form; clock, seed and id counter never count.

    volatile=False answers "same end state?": it leaves out ids, times, traces, the window and which
    workspace is current, and names a record by its name, so that two ways to one result are equal.
    """
    text = json.dumps(_content(vault) if volatile else _end_state(vault), sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _content(vault: Vault) -> dict:
    return {
        "notes": {path: [_text(note), note.created, note.modified] for path, note in vault.notes.items()},
        "folders": sorted(vault.folders),
        "records": [
            {key: to_dict(record) for key, record in records.items()}
            for records in (vault.workspaces, vault.sessions, vault.states, vault.traces, vault.agents)
        ],
        "lists": [[to_dict(item) for item in items] for items in (vault.commands, vault.models)],
        "commandsRun": vault.commands_run,
        "window": [vault.window.open, vault.window.active],
        "current": [vault.current_workspace, vault.current_session],
    }


def _end_state(vault: Vault) -> dict:
    return {
        "notes": {path: _text(note) for path, note in vault.notes.items()},
        "folders": sorted(vault.folders),
        "records": [sorted(json.dumps(item, sort_keys=True) for item in _lasting(vault, part)) for part in RECORDS],
        "commandsRun": vault.commands_run,
    }


def _text(note: Note) -> list:
    return [note.text, None if note.data is None else note.data.hex()]


def _lasting(vault: Vault, part: str) -> list[dict]:
    """The records of one part without volatile fields, their owners by name."""
    items = []
    for record in getattr(vault, part).values():
        item = {key: value for key, value in to_dict(record).items() if key not in VOLATILE_FIELDS}
        for key, owners in (("workspace_id", vault.workspaces), ("session_id", vault.sessions)):
            if hasattr(record, key) and part != "workspaces":
                owner = owners.get(getattr(record, key))
                item[camel(key)] = owner.name if owner else ""
        items.append(item)
    return items


# What diff and the end state look at, with the word for one of them.
RECORDS = {"workspaces": "workspace", "sessions": "session", "states": "state", "agents": "agent"}


def diff(before: Vault, after: Vault, volatile: bool = True) -> list[Change]:
    """What changed, in a fixed order; volatile=False leaves out the window and which workspace is current.

    Times alone and memory traces are never a change.
    """
    moved_folders = _moved_folders(before, after)
    changes = [Change("folder-moved", old, f"to {new}") for old, new in moved_folders]
    changes += _note_changes(before, after, moved_folders)
    changes += _folder_changes(before, after, moved_folders)
    for part, word in RECORDS.items():
        changes += _record_changes(getattr(before, part), getattr(after, part), word)
    ran = after.commands_run[len(before.commands_run) :]
    changes += [Change("command-run", command) for command in ran]
    return changes + (_window_changes(before, after) if volatile else [])


def _moved_folders(before: Vault, after: Vault) -> list[tuple[str, str]]:
    """(old, new) for each folder that is at a new path with all that was in it."""
    lost = before.folders - after.folders
    gone = sorted(folder for folder in lost if parent(folder) not in lost)
    trees = {folder: _tree(after, folder) for folder in sorted(after.folders - before.folders)}
    # Empty folders are all alike: only a lone one can be told to have moved.
    alone = len(gone) == len(trees) == 1
    found = []
    for old in gone:
        tree = _tree(before, old)
        new = next((folder for folder in trees if trees[folder] == tree and (any(tree) or alone)), None)
        if new is not None:
            del trees[new]
            found.append((old, new))
    return found


def _tree(vault: Vault, folder: str) -> tuple[list, list]:
    """Notes and folders below a folder, by path relative to it."""
    paths, folders = children(vault, folder, depth=1 << 30)
    start = len(folder) + 1
    return [(path[start:], vault.notes[path]) for path in paths], [path[start:] for path in folders]


def _note_changes(before: Vault, after: Vault, moved_folders: list[tuple[str, str]]) -> list[Change]:
    def within(path: str, side: int) -> bool:
        return any(is_inside(path, pair[side]) for pair in moved_folders)

    gone = sorted(p for p in before.notes if p not in after.notes and not within(p, 0))
    # A note that was moved onto another one arrives at a path that existed.
    arrived = sorted(p for p in after.notes if before.notes.get(p) != after.notes[p] and not within(p, 1))
    changes = []
    for old in gone:
        new = next((path for path in arrived if _same_file(before, old, after, path)), None)
        if new is None:
            changes.append(Change("note-deleted", old, _size(before.notes[old])))
        else:
            arrived.remove(new)
            replaced = ", replacing the note there" if new in before.notes else ""
            changes.append(Change("note-moved", old, f"to {new}{replaced}"))
            changes += _text_change(new, before.notes[old], after.notes[new])
    for path in arrived:
        note, was = after.notes[path], before.notes.get(path)
        if was is None:
            changes.append(Change("note-created", path, _excerpt(_lines("", note.text)) or _size(note)))
        else:
            changes += _text_change(path, was, note)
    return changes


def _same_file(before: Vault, old: str, after: Vault, new: str) -> bool:
    """True when the note at new is the one that was at old: unchanged, or made at the same moment at a new path."""
    was, note = before.notes[old], after.notes[new]
    return note == was or (new not in before.notes and note.created == was.created)


def _text_change(path: str, was: Note, note: Note) -> list[Change]:
    if was.bytes == note.bytes:
        return []
    plain = was.data is None and note.data is None and len(was.text) + len(note.text) <= MAX_DIFF
    detail = _excerpt(_lines(was.text, note.text)) if plain else f"{_size(was)} -> {_size(note)}"
    return [Change("note-changed", path, detail)]


def _folder_changes(before: Vault, after: Vault, moved_folders: list[tuple[str, str]]) -> list[Change]:
    def within(path: str, side: int) -> bool:
        return any(path == pair[side] or is_inside(path, pair[side]) for pair in moved_folders)

    changes = [Change("folder-deleted", p) for p in sorted(before.folders - after.folders) if not within(p, 0)]
    return changes + [Change("folder-created", p) for p in sorted(after.folders - before.folders) if not within(p, 1)]


def _record_changes(before: dict, after: dict, word: str) -> list[Change]:
    changes = [Change(f"{word}-deleted", before[key].name, key) for key in before if key not in after]
    for key, record in after.items():
        if key not in before:
            changes.append(Change(f"{word}-created", record.name, _fields(record)))
        elif record != before[key] and (detail := _field_changes(before[key], record)):
            changes.append(Change(f"{word}-changed", before[key].name, detail))
    return changes


def _fields(record: Any) -> str:
    shown = {key: value for key, value in to_dict(record).items() if key not in VOLATILE_FIELDS and value}
    return "\n".join(f"{key}: {_short(value)}" for key, value in shown.items() if key != "name")


def _field_changes(before: Any, after: Any) -> str:
    old, new = to_dict(before), to_dict(after)
    keys = [camel(field.name) for field in fields(after) if camel(field.name) not in ("lastAccessed", "modified")]
    return "\n".join(f"{key}: {_short(old[key])} -> {_short(new[key])}" for key in keys if old[key] != new[key])


def _window_changes(before: Vault, after: Vault) -> list[Change]:
    changes = [
        Change("note-opened", path, mode) for path, mode in after.window.open if (path, mode) not in before.window.open
    ]
    if after.window.active != before.window.active:
        changes.append(Change("focus-moved", after.window.active or "(nothing)"))
    if after.current_workspace != before.current_workspace:
        changes.append(Change("workspace-loaded", after.workspaces[after.current_workspace].name))
    return changes


def _lines(before: str, after: str) -> list[str]:
    """The lines that differ, marked - and +, with a hunk head where lines are left out."""
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=1)
    return [line for line in lines if not line.startswith(("---", "+++"))] if before else _added(after)


def _added(text: str) -> list[str]:
    return [f"+{line}" for line in text.split("\n")] if text else []


def _excerpt(lines: list[str]) -> str:
    shown = [_cut(line) for line in lines[:EXCERPT_LINES]]
    left = len(lines) - EXCERPT_LINES
    return "\n".join([*shown, f"... {left} more lines"] if left > 0 else shown)


def _size(note: Note) -> str:
    return f"{note.size} bytes"


def _short(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= LINE_WIDTH else text[: LINE_WIDTH - 3] + "..."


def render_diff(changes: Iterable[Change]) -> str:
    """The changes as text for people: a line each, details indented below; "no change" when there are none."""
    lines = []
    for change in changes:
        word = f"{change.kind.replace('-', ' ')}: {change.subject}"
        if change.detail and "\n" not in change.detail and not change.detail.startswith(("+", "-", "@")):
            word, change = f"{word} ({change.detail})", Change(change.kind, change.subject)
        lines.append(word)
        lines += [f"    {line}" for line in change.detail.split("\n") if change.detail]
    return "\n".join(lines) or "no change"
